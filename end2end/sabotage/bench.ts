// The board under test: its people and releases. Checks run through the same forms as on the page.
import type { Stagegate } from "../support/stagegate.ts";
import { type Board, check, items } from "./board.ts";
import type { Case } from "./case.ts";
import { type Before, compare, leftBehind, seenBesideChecks } from "./judge.ts";
import type { Stage } from "./stage.ts";
import { Refused, Visitor } from "./visitor.ts";

const MINUTE = 60_000;
/** Number of quick checks that run at the same time. */
const AT_ONCE = 3;
/** These load the machine or affect each other: only one runs at a time. */
const ALONE = new Set(["static", "build", "coverage", "migrations-clean", "no-high", "no-critical", "e2e", "load-p95", "load-errors", "runtime", "restore", "alert-arrives", "login-limit", "migrated"]);
/** These belong to a later gate but need no stack. */
const OF_FILES = new Set(["no-critical"]);
/** These can pass only with more releases or a drill. */
const LATER = new Set(["two-ways-back", "drill"]);

export class Bench {
  /** The checks that have run. */
  private readonly took = new Set<string>();
  private deployed = false;

  private constructor(
    private readonly people: Map<string, Visitor>,
    private readonly devops: Visitor,
  ) {}

  static async open(server: Stagegate): Promise<Bench> {
    const people = new Map<string, Visitor>();
    for (const name of ["Dana", "Bela", "Sina", "Quinn"]) {
      const link = server.links.get(name);
      if (link === undefined) throw new Error(`the server printed no link for ${name}`);
      people.set(name, await Visitor.join(server.base, link));
    }
    return new Bench(people, people.get("Dana")!);
  }

  // --- before the cases --------------------------------------------------------------------------------------------

  /** Runs the checks of the repository and its settings, before a deploy; all must pass. */
  async lookAtFiles(): Promise<void> {
    const board = await this.devops.board();
    if (board.problems.length > 0) throw new Error(`the configuration has problems: ${board.problems.join("; ")}`);
    const wanted = board.checks.filter((c) => OF_FILES.has(c.id) || c.proves.some((id) => /^[AC]\./.test(id))).map((c) => c.id);
    this.mustPass(await this.run(wanted), wanted);
  }

  /** Deploys the first release, with data and a backup; all checks must pass. */
  async deployFirst(stage: Stage): Promise<void> {
    await this.deploy();
    for (const script of ["db:migrate", "db:seed", "db:backup:pre-deployment"]) npm(stage, script);
    await this.lookAtAll();
  }

  /** Accepts the release as a rollback target, and deploys a second one. */
  async deploySecond(stage: Stage): Promise<void> {
    await this.accept();
    stage.example.git("commit", "--quiet", "--allow-empty", "--message", "MediaNest, once more");
    stage.settle();
    await this.deploy();
    npm(stage, "db:backup:pre-deployment");
    await this.lookAtAll();
    await this.accept();
    this.mustPass(await this.run(["two-ways-back"]), ["two-ways-back"]);
  }

  private async lookAtAll(): Promise<void> {
    const wanted = (await this.devops.board()).checks.map((c) => c.id).filter((id) => !LATER.has(id));
    this.mustPass(await this.run(wanted), wanted);
  }

  private async deploy(): Promise<void> {
    const path = await this.devops.confirm("deploy", ["/releases"]);
    const run = Number(/\/runs\/(\d+)/.exec(path)?.[1]);
    const board = await this.devops.waitFor([run], 8 * MINUTE);
    if (board.release?.state !== "deployed") {
      throw new Error(`the deploy (run ${run}) did not succeed: ${JSON.stringify(board.release)}\n${await this.log(run)}`);
    }
    this.deployed = true;
  }

  private async log(run: number): Promise<string> {
    const text = await (await this.devops.get(`/runs/${run}/log`)).text();
    return text.split("\n").slice(-20).join("\n");
  }

  /** Gates A to F, each by one of its owners. */
  private async accept(): Promise<void> {
    const owners: [string, string][] = [["A", "Bela"], ["B", "Dana"], ["C", "Sina"], ["D", "Bela"], ["E", "Dana"], ["F", "Quinn"]];
    for (const [gate, name] of owners) {
      const owner = this.people.get(name)!;
      const words = items(await owner.board()).filter((item) => item.id.startsWith(`${gate}.`) && item.needs_word && item.status === "open");
      for (const item of words) await owner.act("attest", { item: item.id, digest: item.digest, holds: "yes", note: "Seen by hand", link: "" });
      const view = (await owner.board()).gates.find((g) => g.id === gate)!;
      await owner.act("accept_gate", { gate, digest: view.digest, note: "All criteria are satisfied" }, `/gates/${gate}`).catch((error: unknown) => {
        // A successful action also redirects to the gate's page.
        if (!(error instanceof Refused)) throw error;
      });
      const state = (await owner.board()).gates.find((g) => g.id === gate)!.state;
      if (state !== "accepted") throw new Error(`gate ${gate} is ${state}`);
    }
  }

  private mustPass(board: Board, wanted: string[]): void {
    const bad = wanted.map((id) => check(board, id)).filter((c) => c.standing !== "pass");
    if (bad.length > 0) throw new Error(`not passed before the first case:\n${bad.map((c) => `  ${c.id} (${c.standing}): ${c.saw} ${c.stale.join("; ")} — expected ${c.wanted}`).join("\n")}`);
  }

  // --- around a case -------------------------------------------------------------------------------------------------

  /** The board when no run is active. */
  async ready(): Promise<Board> {
    const board = await this.devops.board();
    return board.running.length === 0 ? board : this.devops.waitFor(board.running, 2 * MINUTE);
  }

  /** Runs the checks for a case: the quick ones, the case's own, and all that are stale. */
  async look(one: Case, before: Before): Promise<Board> {
    if (one.watched) return this.patiently(await this.devops.board(), (now) => compare(one, before, now).falseGreen.length === 0);
    await this.follow();
    const wanted = new Set([...this.quick(), ...(one.checks ?? [])].filter((id) => before.passing.has(id)));
    let board = await this.run([...wanted]);
    const stale = [...before.passing].filter((id) => check(board, id).standing === "stale" && !wanted.has(id));
    if (stale.length > 0) board = await this.run(stale);
    // Files and containers are observed at intervals.
    return this.patiently(board, (now) => seenBesideChecks(one, before, now));
  }

  /** Runs the checks again that do not pass after the case was undone. */
  async lookAgain(one: Case, before: Before): Promise<Board> {
    await this.follow();
    let board = await this.devops.board();
    // Observed state recovers without running checks.
    if (one.watched) board = await this.patiently(board, (now) => leftBehind(before, now).length === 0);
    for (let tries = 0; tries < 2; tries++) {
      const open = [...before.passing].filter((id) => check(board, id).standing !== "pass");
      if (open.length === 0) break;
      board = await this.run(open);
    }
    return this.patiently(board, (now) => leftBehind(before, now).length === 0);
  }

  /** Waits some seconds for the board to show it. */
  private async patiently(board: Board, holds: (board: Board) => boolean): Promise<Board> {
    let now = board;
    for (let tries = 0; tries < 30 && !holds(now); tries++) {
      await new Promise((done) => setTimeout(done, 500));
      now = await this.devops.board();
    }
    return now;
  }

  /** After a failed case: runs all checks again, so that the next case starts from the real state. */
  async settle(stage: Stage, one: Case): Promise<void> {
    try {
      await one.undo?.(stage);
    } catch {
      // It was undone already, or it cannot be undone.
    }
    stage.restore();
    if (this.deployed) stage.compose(["up", "-d", "--no-build", "--pull", "never", "--wait"]);
    await this.follow();
    const board = await this.ready();
    await this.run(board.checks.filter((c) => this.took.has(c.id) && c.standing !== "pass").map((c) => c.id));
  }

  /** Before the first deploy, a changed checkout is a new release: opens it, as a person would. */
  private async follow(): Promise<void> {
    if (this.deployed) return;
    for (let tries = 1; ; tries++) {
      try {
        await this.devops.confirm("open_release", ["/releases"]);
        return;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (error.message.includes("has not changed since the current release was opened")) return;
        // Compose may not have answered in time; any other reason does not go away.
        if (tries === 5) throw error;
        await new Promise((done) => setTimeout(done, 1_000));
      }
    }
  }

  private quick(): string[] {
    return [...this.took].filter((id) => !ALONE.has(id));
  }

  /** Runs these checks and waits for them: quick ones in parallel, the others one by one. */
  private async run(ids: string[]): Promise<Board> {
    const waiting = ids.filter((id) => !ALONE.has(id));
    const worker = async () => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) await this.runOne(id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    for (const id of ids.filter((id) => ALONE.has(id))) await this.runOne(id);
    return this.devops.board();
  }

  private async runOne(id: string): Promise<void> {
    const run = await this.devops.startCheck(id);
    await this.devops.waitFor([run], 5 * MINUTE);
    this.took.add(id);
  }
}

function npm(stage: Stage, script: string): void {
  stage.example.run("npm", "run", "--silent", script);
}
