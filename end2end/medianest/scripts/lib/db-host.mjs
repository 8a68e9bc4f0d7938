// The database commands as the host sees them.
import { spawnSync } from "node:child_process";
import { backup, rehearse } from "./backup.mjs";
import { NoStack, composeRun, composeText, needService, serviceState } from "./compose.mjs";
import { generate, migrationNames, validate } from "./migrations.mjs";
import { INCONCLUSIVE, dropReport, writeReport } from "./report.mjs";

/** Runs one command and returns its exit code. */
export async function run(command, inContainer) {
  try {
    if (command === "check") return check();
    if (inContainer.includes(command)) {
      needService("backend");
      return composeRun(["exec", "-T", "backend", "npm", "run", "--silent", `db:${command}`]);
    }
    const hosted = { generate: runGenerate, validate: runValidate, status, backup, rehearse, fresh }[command];
    if (hosted === undefined) throw new Error(`unknown command "${command}"`);
    return await hosted();
  } catch (error) {
    console.error(`db ${command}: ${error.message}`);
    return error instanceof NoStack ? INCONCLUSIVE : 1;
  }
}

function runGenerate() {
  const { problems, added } = generate();
  if (problems.length > 0) return complain("generate", problems);
  console.log(added.length === 0 ? "db generate: the migration lock is up to date" : `db generate: recorded ${added.join(", ")}`);
  return 0;
}

async function runValidate() {
  const problems = await validate();
  if (problems.length > 0) return complain("validate", problems);
  console.log(`db validate: ${migrationNames().length} migrations are in order`);
  return 0;
}

/** Compares the migration files with what the database says was applied. Pending is normal before a deploy; drift is not. */
async function status() {
  dropReport("migrate-status");
  const problems = await validate();
  const files = migrationNames();
  const database = databaseState();
  if (database !== "up" && database !== "none") {
    writeReport("migrate-status", { clean: null, database, files: files.length, applied: null, pending: null, drift: problems });
    throw new NoStack(`${database}: whether migrations are pending cannot be told`);
  }
  const applied = database === "up" ? appliedMigrations() : [];
  const pending = files.filter((name) => !applied.includes(name));
  const drift = [...problems, ...applied.filter((name) => !files.includes(name)).map((name) => `${name} is applied, but has no file`)];
  if (database === "none") console.log(`migrate:status: no database yet: ${files.length} migrations in files, none applied`);
  else console.log(`migrate:status: ${applied.length} applied, ${pending.length} pending${pending.length > 0 ? `: ${pending.join(", ")}` : ""}`);
  writeReport("migrate-status", { clean: drift.length === 0, database, files: files.length, applied: applied.length, pending, drift });
  if (drift.length > 0) return complain("status", drift);
  console.log("migrate:status: clean, no drift");
  return 0;
}

/** "up", "none" (no container and no volume), or words on why it cannot be asked. */
function databaseState() {
  const state = serviceState("db");
  if (state === "running") return "up";
  if (state === "stopped") return "the database is stopped";
  const { name } = JSON.parse(projectName());
  const volumes = spawnSync(
    "docker",
    ["volume", "ls", "-q", "--filter", `label=com.docker.compose.project=${name}`, "--filter", "label=com.docker.compose.volume=db-data"],
    { encoding: "utf8" },
  );
  return volumes.stdout.trim() === "" ? "none" : "a database volume exists, but no database runs on it";
}

function projectName() {
  try {
    return composeText("config", "--format", "json");
  } catch {
    // Without an env file the compose file does not resolve, and nothing was ever started from it.
    return "{}";
  }
}

function appliedMigrations() {
  const query = (sql) => composeText("exec", "-T", "db", "sh", "-c", `psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -Atc "${sql}"`);
  if (query("select to_regclass('knex_migrations')").trim() === "") return [];
  return query("select name from knex_migrations order by id").split("\n").filter(Boolean);
}

/** Drops the database and makes it anew, with schema and seed of the image that the backend's name means. */
function fresh() {
  const well = (...args) => {
    const code = composeRun(args);
    if (code !== 0) throw new Error(`docker compose ${args[0]} ended with ${code}`);
  };
  const inDb = (command) => well("exec", "-T", "db", "sh", "-c", `${command} -U "$POSTGRES_USER" "$POSTGRES_DB"`);
  // Whatever of it runs already stays as it is.
  well("up", "-d", "--no-build", "--no-recreate", "--wait", "db", "redis");
  inDb("dropdb --if-exists --force");
  inDb("createdb");
  for (const command of ["migrate", "seed"]) well("run", "--rm", "-T", "backend", "npm", "run", "--silent", `db:${command}`);
  console.log("db fresh: a new database with its seed");
  return 0;
}

function check() {
  dropReport("db-check");
  needService("backend");
  let text;
  try {
    text = composeText("exec", "-T", "backend", "sh", "-c", "npm run --silent db:check || true");
  } catch (error) {
    throw new NoStack(error.message);
  }
  const line = text.split("\n").find((part) => part.startsWith("{"));
  if (line === undefined) throw new NoStack("the backend could not ask its database");
  const facts = JSON.parse(line);
  writeReport("db-check", facts);
  console.log(`db check: ${facts.pending} pending, second run applied ${facts.secondRunApplied}, seed rows missing ${facts.missingSeed}`);
  return facts.ok ? 0 : 1;
}

function complain(command, problems) {
  for (const problem of problems) console.error(`db ${command}: ${problem}`);
  return 1;
}
