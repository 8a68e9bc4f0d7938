// The release binary, started as by a person; links are read from its output.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { binary, freePorts, keptFolder, site } from "./files.ts";
import "./own-name.ts";

export interface Options {
  /** Create the example's people, each with a one-time link. */
  demo?: boolean;
  /** The folder of the page's files, if it is not the one of the build. */
  site?: string;
  /** Keep running when the process that started it ends. Whoever sets this stops the server by its `memo`. */
  detached?: boolean;
}

/** The data with which another process can use or stop a running server. */
export interface StagegateMemo {
  config: string;
  data: string;
  listen: string;
  name: string;
  options: Options;
  setupLink: string;
  pid: number | undefined;
}

/** The number of people that `--demo` creates. */
const DEMO_PEOPLE = 7;

export class Stagegate {
  /** The address of the board. */
  readonly base: string;
  readonly log: string;
  /** The setup link of the first start. */
  setupLink = "";
  /** All printed one-time links, by the name before them. */
  readonly links = new Map<string, string>();
  private child: ChildProcess | undefined;
  /** The process id of a server that another process has started. */
  private attached: number | undefined;

  private constructor(
    private readonly config: string,
    private readonly data: string,
    private readonly listen: string,
    private readonly name: string,
    private readonly options: Options,
  ) {
    this.base = `http://${listen.replace("127.0.0.1", "stagegate.localhost")}`;
    this.log = join(keptFolder("logs"), `${name}.log`);
  }

  /** Starts `stagegate serve`; `name` is the name of its log. */
  static async serve(config: string, data: string, name: string, options: Options = {}): Promise<Stagegate> {
    if (!existsSync(binary)) throw new Error(`${binary} is missing: run make build`);
    const [port] = await freePorts(1);
    const server = new Stagegate(config, data, `127.0.0.1:${port}`, name, options);
    await server.start("w");
    return server;
  }

  /** A server that another process has started. */
  static attach(memo: StagegateMemo): Stagegate {
    const server = new Stagegate(memo.config, memo.data, memo.listen, memo.name, memo.options);
    server.setupLink = memo.setupLink;
    server.attached = memo.pid;
    return server;
  }

  get memo(): StagegateMemo {
    const { config, data, listen, name, options, setupLink } = this;
    return { config, data, listen, name, options, setupLink, pid: this.child?.pid ?? this.attached };
  }

  /** Starts it again with the same data and address. */
  async again(): Promise<void> {
    await this.start("a");
  }

  private async start(flags: "w" | "a"): Promise<void> {
    // A pipe would break if its reader ended before the server, so the output is a file.
    const log = openSync(this.log, flags);
    const before = statSync(this.log).size;
    const output = () => readFileSync(this.log).subarray(before).toString("utf8");
    const args = ["serve", "--config", this.config, "--data", this.data, "--listen", this.listen];
    if (this.options.demo) args.push("--demo");
    const env = { ...cleanEnv(), STAGEGATE_SITE: this.options.site ?? site };
    const child = spawn(binary, args, { env, stdio: ["ignore", log, log], detached: this.options.detached });
    this.child = child;
    closeSync(log);
    if (this.options.detached) child.unref();
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    for (let tries = 0; tries < 200; tries++) {
      const said = output();
      if (ended()) throw new Error(`stagegate ended immediately:\n${said}`);
      const link = /http:\/\/\S+\/link\/\S+/.exec(said);
      if (link) this.setupLink = link[0];
      for (const [, who, url] of said.matchAll(/^\s*(\S+)\s.*?(http:\S+\/link\/\S+)/gm)) this.links.set(who!, url!);
      const all = this.options.demo ? this.links.size >= DEMO_PEOPLE : link;
      if ((all || flags === "a") && (await this.answers())) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    child.kill("SIGKILL");
    throw new Error(`stagegate did not start within 20 s:\n${output()}`);
  }

  async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.base}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok;
    } catch {
      return false;
    }
  }

  /** Ends the server with a signal and waits for its end. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.child;
    if (!child) return this.endAttached(signal);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((done) => child.once("exit", () => done()));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await gone;
    clearTimeout(late);
  }

  private async endAttached(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const pid = this.attached;
    if (pid === undefined || !serves(pid, this.data)) return;
    process.kill(pid, signal);
    for (let tries = 0; tries < 100 && serves(pid, this.data); tries++) await new Promise((done) => setTimeout(done, 100));
    if (serves(pid, this.data)) process.kill(pid, "SIGKILL");
  }

  /** Ends the server, and its runs, which would continue without it. */
  async stop(): Promise<void> {
    await this.end("SIGTERM");
    for (const pid of supervisorsOf(this.data)) {
      try {
        process.kill(pid, "SIGTERM");
      } catch {
        // It has already ended.
      }
    }
  }

  /** Runs another command with the same data; returns its exit code and output. */
  command(name: string): { code: number; said: string } {
    try {
      const said = execFileSync(binary, [name, "--config", this.config, "--data", this.data], {
        encoding: "utf8",
        env: cleanEnv(),
        timeout: 60_000,
        stdio: ["ignore", "pipe", "pipe"],
      });
      return { code: 0, said };
    } catch (error) {
      const failed = error as { status?: number; stdout?: string; stderr?: string };
      return { code: failed.status ?? -1, said: `${failed.stdout ?? ""}${failed.stderr ?? ""}` };
    }
  }
}

/** The environment without settings for Stagegate or Compose. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(STAGEGATE|COMPOSE)_/.test(key)));
}

/** The arguments of a process; empty if it has ended. */
function commandLine(pid: number | string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}

/** Whether this process is a server with this data directory; its id may have been reused. */
function serves(pid: number, data: string): boolean {
  const words = commandLine(pid);
  return words[1] === "serve" && words.includes(data);
}

/** Supervisors of runs in this data directory. */
function supervisorsOf(data: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const words = commandLine(pid);
      return words[1] === "supervise" && words[2]?.startsWith(`${data}/`);
    })
    .map(Number);
}
