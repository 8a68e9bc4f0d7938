// Backup of the stack's database, and the proof that it can be restored.
import { createHash } from "node:crypto";
import { closeSync, createReadStream, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { composePipe, composeText, needService } from "./compose.mjs";
import { root } from "./env.mjs";
import { dropReport, writeReport } from "./report.mjs";

const folder = join(root, "backups");

/** Dumps the database into `backups/` with a manifest of its rows. Returns the exit code. */
export async function backup() {
  dropReport("backup");
  needService("db");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { version } = JSON.parse(readFileSync(join(root, "release.json"), "utf8"));
  const name = `${new Date().toISOString().replace(/[-:]|\..*/g, "")}-v${version}.dump`;
  const path = join(folder, name);
  const before = countRows();
  const file = openSync(path, "wx", 0o600);
  try {
    await composePipe(inDb('pg_dump -Fc -U "$POSTGRES_USER" "$POSTGRES_DB"'), { output: file });
  } catch (error) {
    rmSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
  const manifest = { file: `backups/${name}`, bytes: statSync(path).size, sha256: await sha256(path), rows: before };
  writeFileSync(`${path}.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  writeReport("backup", { ok: manifest.bytes > 0, ...manifest });
  console.log(`backup: ${manifest.file}, ${manifest.bytes} bytes`);
  return 0;
}

/** Restores the newest backup into a database made for it, compares the rows, and drops it. Returns the exit code. */
export async function rehearse() {
  dropReport("restore-rehearsal");
  needService("db");
  const name = (existsSync(folder) ? readdirSync(folder) : []).filter((file) => file.endsWith(".dump")).sort().at(-1);
  if (name === undefined) throw new Error("there is no backup yet: npm run db:backup:pre-deployment");
  const path = join(folder, name);
  const manifest = JSON.parse(readFileSync(`${path}.json`, "utf8"));
  const intact = (await sha256(path)) === manifest.sha256;
  const database = `rehearsal_${Date.now()}`;
  const began = Date.now();
  composeText(...inDb(`createdb -U "$POSTGRES_USER" ${database}`));
  let restored;
  try {
    const file = openSync(path, "r");
    try {
      await composePipe(inDb(`pg_restore --exit-on-error -U "$POSTGRES_USER" -d ${database}`), { input: file });
    } finally {
      closeSync(file);
    }
    restored = countRows(database);
  } finally {
    composeText(...inDb(`dropdb --force -U "$POSTGRES_USER" ${database}`));
  }
  const tables = [...new Set([...Object.keys(manifest.rows), ...Object.keys(restored)])];
  const differing = tables.filter((table) => manifest.rows[table] !== restored[table]);
  const ok = intact && differing.length === 0 && tables.length > 0;
  writeReport("restore-rehearsal", { ok, intact, file: manifest.file, differing, rows: restored, milliseconds: Date.now() - began });
  console.log(`restore rehearsal: ${ok ? "every table came back" : `not the same: ${intact ? differing.join(", ") : "the file was changed"}`}`);
  return ok ? 0 : 1;
}

const inDb = (command) => ["exec", "-T", "db", "sh", "-c", command];

function countRows(database = '"$POSTGRES_DB"') {
  const sql =
    "select table_name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I', table_name), false, true, '')))[1] " +
    "from information_schema.tables where table_schema = 'public' order by table_name";
  const text = composeText(...inDb(`psql -U "$POSTGRES_USER" -d ${database} -At -F = -c "${sql}"`));
  return Object.fromEntries(text.split("\n").filter(Boolean).map((line) => [line.split("=")[0], Number(line.split("=")[1])]));
}

async function sha256(path) {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}
