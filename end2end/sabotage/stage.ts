// The example as cases use it: its files, env file and containers. Records its changes.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Example } from "../support/example.ts";
import { removeFolder, temporaryFolder } from "../support/files.ts";

const SECOND = 1_000;

export class Stage {
  /** A folder outside of the repository, for reports and override files. */
  readonly aside: string;
  private readonly originals = new Map<string, string | undefined>();
  private head: string;

  constructor(readonly example: Example) {
    this.aside = temporaryFolder("aside");
    this.head = this.full();
  }

  // --- files -----------------------------------------------------------------------------------------------------

  path(name: string): string {
    return join(this.example.folder, name);
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8");
  }

  /** Writes a file; `restore` restores the earlier content. */
  write(name: string, text: string): void {
    const path = this.path(name);
    if (!this.originals.has(name)) this.originals.set(name, existsSync(path) ? readFileSync(path, "utf8") : undefined);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Replaces a text in a file; fails if the text is missing, so that every case has an effect. */
  edit(name: string, from: string | RegExp, to: string): void {
    const before = this.read(name);
    const after = before.replace(from, to);
    if (after === before) throw new Error(`${name} does not contain ${String(from)}`);
    this.write(name, after);
  }

  /** Sets a key of the env file; undefined removes it. */
  env(key: string, value: string | undefined): void {
    const line = new RegExp(`^${key}=.*\n`, "m");
    this.edit(".env.staging", line, value === undefined ? "" : `${key}=${value}\n`);
  }

  commit(message: string): void {
    this.example.commit(message);
  }

  /** Restores the files and the commit. */
  restore(): void {
    if (this.full() !== this.head) this.example.git("reset", "--quiet", "--hard", this.head);
    for (const [name, text] of this.originals) {
      if (text === undefined) rmSync(this.path(name), { force: true });
      else if (this.read(name) !== text) writeFileSync(this.path(name), text);
    }
    this.originals.clear();
    chmodSync(this.path(".env.staging"), 0o600);
  }

  /** Makes the current commit the one that `restore` restores. */
  settle(): void {
    this.head = this.full();
    this.originals.clear();
  }

  private full(): string {
    return this.example.git("rev-parse", "HEAD").trim();
  }

  /** A report of `npm audit --json` as the registry would give it, outside of the repository. */
  audit(counts: { critical?: number; high?: number }): string {
    const vulnerabilities = { info: 0, low: 0, moderate: 0, high: counts.high ?? 0, critical: counts.critical ?? 0 };
    const total = vulnerabilities.high + vulnerabilities.critical;
    const report = { auditReportVersion: 2, vulnerabilities: {}, metadata: { vulnerabilities: { ...vulnerabilities, total }, dependencies: { prod: 1, total: 1 } } };
    const path = join(this.aside, "audit.json");
    writeFileSync(path, `${JSON.stringify(report)}\n`);
    return path;
  }

  /** Writes the response of a registry without audits. */
  unanswered(): void {
    writeFileSync(join(this.aside, "audit.json"), `${JSON.stringify({ statusCode: 405, error: "Method Not Allowed", message: "no audits here" })}\n`);
  }

  /** The newest file of a folder. */
  newest(folder: string, ending: string): string {
    const names = readdirSync(this.path(folder)).filter((name) => name.endsWith(ending));
    const newest = names.map((name) => join(folder, name)).sort((a, b) => statSync(this.path(b)).mtimeMs - statSync(this.path(a)).mtimeMs)[0];
    if (newest === undefined) throw new Error(`${folder} has no file ${ending}`);
    return newest;
  }

  // --- containers --------------------------------------------------------------------------------------------------

  docker(...args: string[]): string {
    return run("docker", args, this.example.folder);
  }

  /** `docker compose` on this stack; `override` is laid over its file. */
  compose(args: string[], override?: string): string {
    const files = ["-f", "docker-compose.yml"];
    if (override !== undefined) {
      const path = join(this.aside, "override.yml");
      writeFileSync(path, override);
      files.push("-f", path);
    }
    return this.docker("compose", "--project-directory", ".", "--env-file", ".env.staging", ...files, ...args);
  }

  container(service: string): string {
    const label = "com.docker.compose";
    const id = this.docker("ps", "-aq", "--filter", `label=${label}.project=${this.example.project}`, "--filter", `label=${label}.service=${service}`).trim();
    if (id === "") throw new Error(`${service} has no container`);
    return id.split("\n")[0]!;
  }

  /** Recreates a service with an override of the Compose file; the image stays. Does not wait. */
  override(service: string, text: string): void {
    this.compose(["up", "-d", "--no-build", "--no-deps", "--pull", "never", service], text);
  }

  /** Recreates a service as the Compose file declares it; waits until it is healthy. */
  async asDeclared(service: string): Promise<void> {
    this.compose(["up", "-d", "--no-build", "--no-deps", "--pull", "never", service]);
    await this.health(service, "healthy");
  }

  stop(service: string): void {
    this.docker("stop", "--time", "3", this.container(service));
  }

  async start(service: string): Promise<void> {
    this.docker("start", this.container(service));
    await this.health(service, "healthy");
  }

  /** Writes faults into the files of the running backend and restarts it; its image stays the same. */
  async faults(...names: string[]): Promise<void> {
    const { version } = JSON.parse(this.read("release.json")) as { version: string };
    const id = this.container("backend");
    const text = JSON.stringify({ version, faults: names });
    this.docker("exec", "--user", "0", "--env", `TEXT=${text}`, id, "sh", "-c", 'printf %s "$TEXT" > /app/release.json');
    this.docker("restart", "--time", "3", id);
    if (!names.includes("health")) await this.health("backend", "healthy");
  }

  /** Waits until the Docker engine reports this health of a service. */
  async health(service: string, wanted: string, withinMs = 60 * SECOND): Promise<void> {
    await until(`${service} is ${wanted}`, withinMs, () => this.docker("inspect", "--format", "{{.State.Health.Status}}", this.container(service)).trim() === wanted);
  }

  sql(text: string): string {
    return this.docker("exec", this.container("db"), "psql", "-U", "medianest", "-d", "medianest", "-v", "ON_ERROR_STOP=1", "-Atc", text).trim();
  }

  /** Makes Prometheus reload its files. */
  async reloadPrometheus(): Promise<void> {
    this.docker("kill", "--signal", "HUP", this.container("prometheus"));
    await new Promise((done) => setTimeout(done, 2 * SECOND));
  }

  remove(): void {
    removeFolder(this.aside);
  }
}

/** Tests a condition every half second until it is true. */
export async function until(what: string, withinMs: number, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + withinMs;
  for (;;) {
    try {
      if (await holds()) return;
    } catch {
      // The container may not exist yet.
    }
    if (Date.now() > end) throw new Error(`not within ${withinMs / SECOND} s: ${what}`);
    await new Promise((done) => setTimeout(done, 500));
  }
}

function run(command: string, args: string[], folder: string): string {
  const { COMPOSE_PROJECT_NAME: _project, COMPOSE_FILE: _file, ...env } = process.env;
  return execFileSync(command, args, { cwd: folder, encoding: "utf8", timeout: 180_000, env, stdio: ["ignore", "pipe", "pipe"] });
}
