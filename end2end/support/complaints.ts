// What a browser complains about while nobody looks: errors on the console, uncaught exceptions, things that the
// content policy forbade.
import type { BrowserContext } from "@playwright/test";

/** A browser drops what is on its way when the machine gets or loses a network, as Docker's come and go. Pages ask again. */
const NOT_OURS = /net::ERR_NETWORK_CHANGED/;
/** What was said at the end of an act is still on its way for so long. */
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

  /** What was heard since the last call. */
  take(): string[] {
    return this.heard.splice(0);
  }

  /** Does something on purpose that makes browsers complain, such as taking the server away. */
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
