// Errors that a browser reports: on the console, uncaught exceptions, violations of the content security policy.
import type { BrowserContext } from "@playwright/test";

/** Browsers abort requests when a network appears or disappears, as with Docker's. Pages repeat such requests. */
const NOT_OURS = /net::ERR_NETWORK_CHANGED/;
/** Errors may arrive this long after an action. */
const LATE_MS = 500;

export class Complaints {
  readonly heard: string[] = [];
  private deaf = false;

  listen(context: BrowserContext, who: string): void {
    const hear = (text: string) => {
      if (!this.deaf && !NOT_OURS.test(text)) this.heard.push(`${who}: ${text}`);
    };
    context.on("console", (message) => {
      if (message.type() !== "error" && !/Content.Security.Policy/i.test(message.text())) return;
      hear(`${message.text()} (${message.page()?.url() ?? "no page"})`);
    });
    context.on("weberror", (error) => hear(`${error.error().stack ?? error.error().message}`));
  }

  /** The errors since the last call. */
  take(): string[] {
    return this.heard.splice(0);
  }

  /** Runs an action that causes expected errors, such as stopping the server. */
  async ignoring<T>(act: () => Promise<T>): Promise<T> {
    this.deaf = true;
    try {
      return await act();
    } finally {
      await new Promise((done) => setTimeout(done, LATE_MS));
      this.deaf = false;
    }
  }
}
