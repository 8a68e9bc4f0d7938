// What a browser complains about while nobody looks: errors on the console, uncaught exceptions, things that the
// content policy forbade.
import type { BrowserContext } from "@playwright/test";

export class Complaints {
  readonly heard: string[] = [];
  private deaf = false;

  listen(context: BrowserContext, who: string): void {
    const hear = (text: string) => {
      if (!this.deaf) this.heard.push(`${who}: ${text}`);
    };
    context.on("console", (message) => {
      if (message.type() !== "error" && !/Content.Security.Policy/i.test(message.text())) return;
      hear(`${message.text()} (${message.page()?.url() ?? "no page"})`);
    });
    context.on("weberror", (error) => hear(`${error.error().stack ?? error.error().message}`));
  }

  /** Does something on purpose that makes browsers complain, such as taking the server away. */
  async ignoring<T>(act: () => Promise<T>): Promise<T> {
    this.deaf = true;
    try {
      return await act();
    } finally {
      this.deaf = false;
    }
  }
}
