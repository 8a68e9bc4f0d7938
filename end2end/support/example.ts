// A copy of the bundled example with its own git history, ports and Compose project. The original is only read.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { basename, join } from "node:path";
import { freePorts, removeFolder, root, temporaryFolder } from "./files.ts";

const original = join(root, "end2end/medianest");
// Created by the commands of the runbook, so the copy starts without them.
const made = new Set(["node_modules", "dist", "coverage", "reports", "backups", "tls", ".env.staging", ".stagegate", ".git"]);

/** The data with which another process can use or remove a copy. */
export interface ExampleMemo {
  folder: string;
  project: string;
  port: number;
  frontendPort: number;
}

export class Example {
  readonly folder: string;
  readonly project: string;
  readonly api: string;
  readonly frontend: string;

  private constructor(readonly memo: ExampleMemo) {
    this.folder = memo.folder;
    this.project = memo.project;
    this.api = `http://127.0.0.1:${memo.port}`;
    this.frontend = `http://127.0.0.1:${memo.frontendPort}`;
  }

  /** A copy that another process has created. */
  static attach(memo: ExampleMemo): Example {
    return new Example(memo);
  }

  static async copy(): Promise<Example> {
    const folder = temporaryFolder("medianest");
    cpSync(original, folder, { recursive: true, filter: (path) => !made.has(basename(path)) });
    const project = `stagegate-test-${randomBytes(4).toString("hex")}`;
    const [port, frontendPort, httpsPort, prometheusPort, alertmanagerPort] = await freePorts(5);
    const example = new Example({ folder, project, port: port!, frontendPort: frontendPort! });
    example.git("init", "--quiet", "--initial-branch=main");
    example.git("config", "user.name", "Story");
    example.git("config", "user.email", "story@localhost");
    example.commit("MediaNest 1.0.0");
    example.node("scripts/fill-env.mjs", "--port", `${port}`, "--frontend-port", `${frontendPort}`, "--https-port", `${httpsPort}`,
      "--prometheus-port", `${prometheusPort}`, "--alertmanager-port", `${alertmanagerPort}`, "--project", project);
    return example;
  }

  get config(): string {
    return join(this.folder, "stagegate.toml");
  }

  commit(message: string): string {
    this.git("add", "--all");
    this.git("commit", "--quiet", "--message", message);
    return this.head();
  }

  /** The checked-out commit, shortened as on the pages. */
  head(): string {
    return this.git("rev-parse", "--short=7", "HEAD").trim();
  }

  /** Makes the env file readable for all users. */
  exposeSecrets(): void {
    chmodSync(join(this.folder, ".env.staging"), 0o644);
  }

  /** The value of a key of the env file. */
  secret(key: string): string {
    const text = readFileSync(join(this.folder, ".env.staging"), "utf8");
    return new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1] ?? "";
  }

  /** The version that the running stack reports; undefined if it does not answer. */
  async version(): Promise<string | undefined> {
    try {
      const answer = await fetch(`${this.api}/health`, { signal: AbortSignal.timeout(5_000) });
      return answer.ok ? ((await answer.json()) as { version?: string }).version : undefined;
    } catch {
      return undefined;
    }
  }

  node(...args: string[]): string {
    return run(process.execPath, args, this.folder);
  }

  /** Runs a command in the copy. */
  run(command: string, ...args: string[]): string {
    return run(command, args, this.folder);
  }

  git(...args: string[]): string {
    return run("git", args, this.folder);
  }

  /** Removes the copy with its Docker objects and files. */
  remove(): void {
    const quietly = (act: () => void) => {
      try {
        act();
      } catch (error) {
        console.error(`cleaning up ${this.project}: ${String(error)}`);
      }
    };
    const label = `label=com.docker.compose.project=${this.project}`;
    quietly(() => {
      if (!existsSync(join(this.folder, ".env.staging"))) return;
      docker("compose", "--project-directory", this.folder, "--env-file", join(this.folder, ".env.staging"), "-f",
        join(this.folder, "docker-compose.yml"), "down", "--volumes", "--remove-orphans", "--timeout", "3");
    });
    for (const filter of [label, `label=stagegate.keep=${this.project}`]) {
      quietly(() => remove(["rm", "--force", "--volumes"], docker("ps", "--all", "--quiet", "--filter", filter)));
    }
    quietly(() => remove(["volume", "rm", "--force"], docker("volume", "ls", "--quiet", "--filter", label)));
    quietly(() => remove(["network", "rm"], docker("network", "ls", "--quiet", "--filter", label)));
    quietly(() => {
      // Protective tags are separate names: they are removed first, then the images of the project.
      const tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split("\n");
      const ours = tags.filter((tag) => tag.startsWith(`stagegate/keep/${this.project}/`) || tag.startsWith(`${this.project}/`));
      remove(["rmi", "--force"], ours.join("\n"));
    });
    quietly(() => remove(["rmi", "--force"], docker("images", "--all", "--quiet", "--filter", label)));
    removeFolder(this.folder);
  }
}

function docker(...args: string[]): string {
  return run("docker", args, root);
}

function remove(command: string[], lines: string): void {
  const names = [...new Set(lines.split("\n").filter(Boolean))];
  if (names.length > 0) docker(...command, ...names);
}

/** Runs a command, two minutes at most. Removes Compose settings of the caller from its environment. */
function run(command: string, args: string[], folder: string): string {
  const { COMPOSE_PROJECT_NAME: _project, COMPOSE_FILE: _file, ...env } = process.env;
  return execFileSync(command, args, { cwd: folder, encoding: "utf8", timeout: 120_000, env, stdio: ["ignore", "pipe", "pipe"] });
}
