// A user without a browser: posts the same forms as the pages.
import { randomBytes } from "node:crypto";
import type { Board } from "./board.ts";

const PATIENCE_MS = 30_000;

export class Visitor {
  private cookie = "";

  private constructor(private readonly base: string) {}

  /** Uses a one-time link and chooses a password. */
  static async join(base: string, link: string): Promise<Visitor> {
    const visitor = new Visitor(base);
    const password = randomBytes(18).toString("base64");
    const token = link.split("/link/")[1] ?? "";
    await visitor.act("use_link", { token, password, again: password }, "/sign-in");
    return visitor;
  }

  /** Posts a form. Returns the page of the redirect; fails with the page's message if the action was refused. */
  async act(name: string, fields: Record<string, string>, back = "/account"): Promise<string> {
    const form = { ...fields, key: randomBytes(16).toString("hex"), back, form: "sabotage" };
    const answer = await fetch(`${this.base}/api/${name}`, {
      method: "POST",
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: {
        Origin: this.base,
        Accept: "text/html",
        Referer: `${this.base}${back}`,
        "Content-Type": "application/x-www-form-urlencoded",
        Cookie: this.cookie,
      },
      body: new URLSearchParams(form).toString(),
    });
    for (const line of answer.headers.getSetCookie()) {
      const pair = line.split(";")[0] ?? "";
      if (pair.startsWith("stagegate=")) this.cookie = pair;
    }
    const to = answer.headers.get("location");
    if (to === null) throw new Error(`${name}: ${answer.status} ${(await answer.text()).slice(0, 200)}`);
    const path = to.startsWith("http") ? new URL(to).pathname : to;
    if (path === back) throw new Refused(`${name} ${JSON.stringify(fields)}: ${await this.notice(back)}`);
    return path;
  }

  /** Posts the form for `/api/<name>` on a page with its hidden fields; of several forms the one that contains `having`.
   * If the page does not show a recent change yet, the updated page is confirmed. */
  async confirm(name: string, paths: string[], having = "", fields: Record<string, string> = {}): Promise<string> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.act(name, { ...(await this.hidden(name, paths, having)), ...fields });
      } catch (error) {
        if (tries === 4 || !(error instanceof Refused) || !error.message.includes("since this page was shown")) throw error;
        await new Promise((done) => setTimeout(done, 1_000));
      }
    }
  }

  private async hidden(name: string, paths: string[], having: string): Promise<Record<string, string>> {
    const forms = new RegExp(`<form[^>]*action="/api/${name}"[^>]*>([\\s\\S]*?)</form>`, "g");
    for (const path of paths) {
      const page = await (await this.get(path)).text();
      for (const [, form = ""] of page.matchAll(forms)) {
        const inputs = [...form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)];
        if (!form.includes(having)) continue;
        return Object.fromEntries(inputs.map(([, field = "", value = ""]) => [field, plain(value)]));
      }
    }
    return {};
  }

  private async notice(path: string): Promise<string> {
    const page = await (await this.get(path)).text();
    const text = /id="notice"[^>]*>([\s\S]*?)<\/(?:div|p|section|aside)>/.exec(page)?.[1] ?? "refused without a message";
    return text.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ").trim();
  }

  async get(path: string): Promise<Response> {
    return fetch(`${this.base}${path}`, {
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
      headers: { Cookie: this.cookie, Accept: "text/html" },
    });
  }

  async board(): Promise<Board> {
    const answer = await this.get("/board.json");
    if (answer.status !== 200) throw new Error(`/board.json answered ${answer.status}`);
    return (await answer.json()) as Board;
  }

  /** Starts a check; returns the number of its run. */
  async startCheck(id: string): Promise<number> {
    const gates = (await this.board()).gates.map((gate) => `/gates/${gate.id}`);
    const path = await this.confirm("run_check", [...gates, "/matrix"], `name="check" value="${id}"`, { check: id });
    const run = /\/runs\/(\d+)/.exec(path)?.[1];
    if (run === undefined) throw new Error(`the check ${id} led to ${path}`);
    return Number(run);
  }

  /** Waits until these runs have ended and their results are stored. */
  async waitFor(runs: number[], withinMs: number): Promise<Board> {
    const until = Date.now() + withinMs;
    for (;;) {
      const board = await this.board();
      if (!runs.some((run) => board.running.includes(run))) return board;
      if (Date.now() > until) throw new Error(`runs ${runs.join(", ")} did not end within ${withinMs / 1000} s`);
      await new Promise((done) => setTimeout(done, 300));
    }
  }
}

const plain = (text: string): string =>
  text.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&#x27;", "'").replaceAll("&amp;", "&");

/** An action that the board refused. */
export class Refused extends Error {}
