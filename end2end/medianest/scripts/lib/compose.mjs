// `docker compose` on this stack, with its env file.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { envFile, root } from "./env.mjs";

const base = () => ["compose", ...(existsSync(envFile) ? ["--env-file", envFile] : []), "-f", "docker-compose.yml"];

/** A stack that cannot be asked, and what to do about it. */
export class NoStack extends Error {}

/** Runs a compose command and returns what it wrote; throws when it fails. */
export function composeText(...args) {
  const done = spawnSync("docker", [...base(), ...args], { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 });
  if (done.error) throw new NoStack(`docker could not be started: ${done.error.message}`);
  if (done.status !== 0) throw new Error(done.stderr.trim() || `docker compose ${args[0]} ended with ${done.status}`);
  return done.stdout;
}

/** Runs a compose command on this terminal and returns its exit code. */
export function composeRun(args, env = {}) {
  const done = spawnSync("docker", [...base(), ...args], { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  return done.status ?? 1;
}

/** Runs a compose command with streams; resolves when it ended well. */
export function composePipe(args, { input, output }) {
  return new Promise((done, failed) => {
    const child = spawn("docker", [...base(), ...args], { cwd: root, stdio: [input ?? "ignore", output ?? "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk) => (errors = (errors + chunk).slice(-4000)));
    child.on("error", failed);
    child.on("close", (code) => (code === 0 ? done() : failed(new Error(errors.trim() || `ended with ${code}`))));
  });
}

/** "running", "stopped" (there, not running) or "none", for one service; throws NoStack when nobody can tell. */
export function serviceState(service) {
  const info = spawnSync("docker", ["info", "--format", "{{.ID}}"], { encoding: "utf8" });
  if (info.error || info.status !== 0) throw new NoStack("the Docker engine does not answer");
  if (!existsSync(envFile)) return "none";
  if (composeText("ps", "-q", "--status", "running", service).trim() !== "") return "running";
  return composeText("ps", "-a", "-q", service).trim() === "" ? "none" : "stopped";
}

/** Throws NoStack unless the service runs. */
export function needService(service) {
  if (!existsSync(envFile)) throw new NoStack("there is no .env.staging, so no stack either: `npm run env:fill`, then bring the stack up");
  const state = serviceState(service);
  if (state !== "running") {
    throw new NoStack(
      `the stack is not up (service ${service}: ${state}): docker compose --env-file .env.staging -f docker-compose.yml up -d --build`,
    );
  }
}
