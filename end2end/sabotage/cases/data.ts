// Faults of data and backups.
import { renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import type { Case } from "../case.ts";
import type { Stage } from "../stage.ts";

const last = "(select max(id) from knex_migrations)";
const spoilt = "backups/99991231T235959-v9.9.9.dump";

const dump = (stage: Stage, ...flags: string[]): Buffer => {
  // The data is binary, so it is written by a pipe inside the container.
  return Buffer.from(
    stage.docker("exec", stage.container("db"), "sh", "-c", `pg_dump -Fc -U medianest ${flags.join(" ")} medianest | base64`),
    "base64",
  );
};

export const data: Case[] = [
  {
    name: "migration-pending",
    what: "a migration is not applied",
    needs: "stack",
    breaks: ["D.1"],
    says: /20270101000000_add_shelf/,
    apply: (stage) => stage.write("backend/migrations/20270101000000_add_shelf.mjs", "export async function up() {}\nexport async function down() {}\n"),
  },
  {
    name: "migration-runs-again",
    what: "an applied migration is not recorded, so that the next run would repeat it",
    needs: "stack",
    breaks: ["D.1"],
    says: /create_requests|pending/,
    apply: (stage) => void stage.sql(`delete from knex_migrations where id = ${last}`),
    undo: (stage) =>
      void stage.sql("insert into knex_migrations (name, batch, migration_time) values ('20260112100000_create_requests.mjs', 1, now())"),
  },
  {
    name: "migration-without-file",
    what: "the database has a migration that the repository does not know",
    needs: "stack",
    breaks: ["A.2", "D.1"],
    says: /20990101000000_from_elsewhere/,
    checks: ["migrations-clean"],
    apply: (stage) => void stage.sql("insert into knex_migrations (name, batch, migration_time) values ('20990101000000_from_elsewhere.mjs', 9, now())"),
    undo: (stage) => void stage.sql("delete from knex_migrations where batch = 9"),
  },
  {
    name: "seed-missing",
    what: "a title of the seed data is missing",
    needs: "stack",
    breaks: ["D.1"],
    says: /media/,
    apply: (stage) => void stage.sql("delete from media where title = 'Metropolis'"),
    undo: (stage) => void stage.compose(["exec", "-T", "backend", "npm", "run", "--silent", "db:seed"]),
  },
  {
    name: "backup-empty",
    what: "the newest backup is empty",
    needs: "stack",
    breaks: ["D.2"],
    says: /empty|0 bytes|no byte/,
    checks: ["restore"],
    apply: (stage) => stage.write(spoilt, ""),
  },
  {
    name: "backup-broken",
    what: "the newest backup looks complete and cannot be restored",
    needs: "stack",
    breaks: ["D.2"],
    says: /restore \(fail\)/,
    checks: ["restore"],
    apply: (stage) => {
      const whole = dump(stage);
      writeFileSync(stage.path(spoilt), whole.subarray(0, Math.floor(whole.length * 0.7)));
    },
    undo: (stage) => rmSync(stage.path(spoilt), { force: true }),
  },
  {
    name: "backup-of-one-table",
    what: "the newest backup contains only one table",
    needs: "stack",
    breaks: ["D.2"],
    says: /accounts|requests/,
    checks: ["restore"],
    apply: (stage) => writeFileSync(stage.path(spoilt), dump(stage, "-t", "media")),
    undo: (stage) => rmSync(stage.path(spoilt), { force: true }),
  },
  {
    name: "backup-old",
    what: "the newest backup is three days old",
    needs: "stack",
    breaks: ["D.2"],
    says: /old/,
    checks: ["restore"],
    apply: (stage) => {
      const then = new Date(Date.now() - 3 * 86_400_000);
      utimesSync(stage.path(stage.newest("backups", ".dump")), then, then);
    },
    undo: (stage) => {
      const now = new Date();
      utimesSync(stage.path(stage.newest("backups", ".dump")), now, now);
    },
  },
  {
    name: "backup-gone",
    what: "there is no backup",
    needs: "stack",
    breaks: ["D.2"],
    says: /backups\/\*\.dump/,
    checks: ["restore"],
    apply: (stage) => renameSync(stage.path("backups"), stage.path("reports/backups-away")),
    undo: (stage) => renameSync(stage.path("reports/backups-away"), stage.path("backups")),
  },
];

