// Introduces one fault after the other into a copy of the example and verifies that Stagegate detects it: exactly the
// affected criteria must change, with the cause, and everything must be as before when the fault is undone.
//   make sabotage            all of them        .ci/sabotage --list        their names
//   .ci/sabotage --only NAME[,NAME]             some of them
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Example } from "../support/example.ts";
import { binary, removeFolder, root, site, temporaryFolder } from "../support/files.ts";
import { Stagegate } from "../support/stagegate.ts";
import type { Board } from "./board.ts";
import type { Case, Needs } from "./case.ts";
import { cases } from "./cases/index.ts";
import { Bench } from "./bench.ts";
import { type Before, compare, leftBehind, standingWell } from "./judge.ts";
import { Stage } from "./stage.ts";

const MINUTE = 60_000;
/** A case that takes longer is aborted and undone. */
const CASE_MS = 6 * MINUTE;

interface Result {
  name: string;
  what: string;
  breaks: string[];
  outcome: "caught" | "false green" | "false red" | "unnamed" | "not undone" | "error";
  false_green: string[];
  false_red: string[];
  left_behind: string[];
  said: string[];
  seconds: number;
  error?: string;
}

const { values: flags } = parseArgs({ options: { only: { type: "string", multiple: true }, list: { type: "boolean", default: false } } });
const only = (flags.only ?? []).flatMap((text) => text.split(",")).filter(Boolean);
for (const name of only) if (!cases.some((one) => one.name === name)) fail(`there is no case ${name}; see --list`);
if (flags.list) {
  for (const one of cases) console.log(`${one.name.padEnd(24)} ${one.what}`);
  process.exit(0);
}
const chosen = cases.filter((one) => only.length === 0 || only.includes(one.name));

let example: Example | undefined;
let stage: Stage | undefined;
let server: Stagegate | undefined;
const folders: string[] = [];
let cleaned = false;

async function cleanUp(): Promise<void> {
  if (cleaned) return;
  cleaned = true;
  await server?.stop().catch((error: unknown) => console.error(`ending the server: ${String(error)}`));
  example?.remove();
  stage?.remove();
  folders.forEach(removeFolder);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    console.error(`\n${signal}: removing everything that was started`);
    void cleanUp().finally(() => process.exit(130));
  });
}

const results: Result[] = [];
let broken: unknown;
try {
  await runAll();
} catch (error) {
  broken = error;
  console.error(error);
} finally {
  await cleanUp();
}
process.exit(report() && broken === undefined ? 0 : 1);

async function runAll(): Promise<void> {
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run make build`);
  example = await Example.copy();
  stage = new Stage(example);
  say(`project ${example.project} in ${example.folder}`);
  prepare(stage);
  const data = temporaryFolder("data");
  folders.push(data);
  server = await Stagegate.serve(example.config, data, "sabotage", { demo: true, site: pageFiles() });
  const bench = await Bench.open(server);

  for (const needs of ["files", "stack", "points"] satisfies Needs[]) {
    const now = chosen.filter((one) => one.needs === needs);
    const later = chosen.some((one) => ["files", "stack", "points"].indexOf(one.needs) > ["files", "stack", "points"].indexOf(needs));
    if (now.length === 0 && (needs === "files" || !later)) continue;
    await timed(needs === "files" ? "checking the repository" : needs === "stack" ? "deploying and running all checks" : "a second release", async () => {
      if (needs === "files") await bench.lookAtFiles();
      if (needs === "stack") await bench.deployFirst(stage!);
      if (needs === "points") await bench.deploySecond(stage!);
    });
    for (const one of now) {
      const result = await runCase(one, bench, stage);
      results.push(result);
      show(result);
      if (result.outcome === "error" || result.outcome === "not undone") await bench.settle(stage, one);
    }
  }
}

async function runCase(one: Case, bench: Bench, stage: Stage): Promise<Result> {
  const began = Date.now();
  const result: Result = { name: one.name, what: one.what, breaks: one.breaks, outcome: "error", false_green: [], false_red: [], left_behind: [], said: [], seconds: 0 };
  try {
    await within(CASE_MS, async () => {
      const before: Before = standingWell(await bench.ready());
      let spoilt: Board | undefined;
      try {
        await one.apply(stage);
        spoilt = await bench.look(one, before);
      } finally {
        await one.undo?.(stage);
        stage.restore();
      }
      const compared = compare(one, before, spoilt);
      result.false_green = compared.falseGreen;
      result.false_red = compared.falseRed;
      result.said = compared.said;
      result.left_behind = leftBehind(before, await bench.lookAgain(one, before));
      result.outcome = compared.falseGreen.length > 0 ? "false green"
        : compared.falseRed.length > 0 ? "false red"
        : compared.unnamed !== undefined ? "unnamed"
        : result.left_behind.length > 0 ? "not undone"
        : "caught";
      if (compared.unnamed !== undefined) result.error = `no text matched ${compared.unnamed}`;
    });
  } catch (error) {
    result.error = error instanceof Error ? error.message : String(error);
  }
  result.seconds = Math.round((Date.now() - began) / 1_000);
  return result;
}

/** Creates the results of the runbook's first steps: packages, a build, a certificate, an audit report. */
function prepare(stage: Stage): void {
  const modules = join(root, "end2end/medianest/node_modules");
  if (existsSync(modules)) {
    // Hard links: the packages are only read.
    execFileSync("cp", ["-al", modules, stage.path("node_modules")]);
  } else {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: stage.example.folder, stdio: "inherit", timeout: 5 * MINUTE });
  }
  stage.example.node("scripts/build.mjs");
  stage.example.node("scripts/make-cert.mjs");
  stage.env("SECURITY_REPORT", stage.audit({}));
  stage.settle();
}

/** The page's files, or a folder without them if they were not built: no browser is used. */
function pageFiles(): string {
  if (existsSync(join(site, "pkg"))) return site;
  const folder = temporaryFolder("site");
  folders.push(folder);
  mkdirSync(join(folder, "pkg"));
  cpSync(join(root, "public"), folder, { recursive: true });
  return folder;
}

async function within(ms: number, act: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_done, failed) => {
    timer = setTimeout(() => failed(new Error(`not done within ${ms / MINUTE} minutes`)), ms);
  });
  try {
    await Promise.race([act(), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function timed(what: string, act: () => Promise<void>): Promise<void> {
  const began = Date.now();
  await act();
  say(`${what}: ${Math.round((Date.now() - began) / 1_000)} s`);
}

function show(result: Result): void {
  console.log(`${result.outcome === "caught" ? "ok  " : "FAIL"} ${result.name.padEnd(24)} ${String(result.seconds).padStart(4)} s  ${result.breaks.join(" ") || "-"}`);
  if (result.outcome === "caught") return;
  console.log(`     ${result.outcome}${result.error ? `: ${result.error}` : ""}`);
  if (result.false_green.length > 0) console.log(`     did not change: ${result.false_green.join(", ")}`);
  if (result.false_red.length > 0) console.log(`     changed: ${result.false_red.join(", ")}`);
  for (const line of result.left_behind) console.log(`     left behind: ${line}`);
  for (const line of result.said) console.log(`     reported: ${line}`);
}

/** Prints the table and writes target/sabotage.json; returns whether every fault was detected. */
function report(): boolean {
  const counted = (outcome: Result["outcome"]) => results.filter((r) => r.outcome === outcome).length;
  const caught = counted("caught");
  const summary = {
    cases: chosen.length,
    caught,
    false_green: results.filter((r) => r.false_green.length > 0).length,
    false_red: results.filter((r) => r.false_red.length > 0 || r.left_behind.length > 0).length,
    unnamed: counted("unnamed"),
    errors: chosen.length - results.length + counted("error"),
    results,
  };
  mkdirSync(join(root, "target"), { recursive: true });
  writeFileSync(join(root, "target/sabotage.json"), `${JSON.stringify(summary, null, 2)}\n`);
  console.log(`\n${caught} of ${chosen.length} caught, ${summary.false_green} false green, ${summary.false_red} false red; target/sabotage.json`);
  return caught === chosen.length;
}

function say(text: string): void {
  console.log(`     ${text}`);
}

function fail(message: string): never {
  console.error(`sabotage: ${message}`);
  process.exit(2);
}

