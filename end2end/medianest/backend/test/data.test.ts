import type { Knex } from "knex";
import { expect, test } from "vitest";
import { migrationSource } from "../src/data/migrations.js";
import { plantSeed } from "../src/data/seed.js";
// @ts-expect-error no declaration file
import { account, titles, wish } from "../seeds/library.mjs";

test("migrations come in order of time, whatever order the folder gives", async () => {
  const source = migrationSource(["2_b.mjs", "1_a.mjs"], async () => ({ up: async () => {}, down: async () => {} }));
  expect((await source.getMigrations([])).map((name) => source.getMigrationName(name))).toEqual(["1_a.mjs", "2_b.mjs"]);
});

test("a seed without a password for its account is refused", async () => {
  await expect(plantSeed({} as Knex, { titles, account, wish }, undefined)).rejects.toThrow("STAGING_PASSWORD");
});

test("the seed names every title once", () => {
  const names = (titles as { title: string; year: number }[]).map((row) => `${row.title}|${row.year}`);
  expect(new Set(names).size).toBe(names.length);
});
