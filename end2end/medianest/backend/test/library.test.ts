import knex, { type Knex } from "knex";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PostgresLibrary } from "../src/data/library.js";

const KEY = "k".repeat(32);
interface Asked {
  sql: string;
  bindings: unknown[];
}
let asked: Asked[] = [];
let answers: Record<string, unknown>[][] = [];
let db: Knex;
let library: PostgresLibrary;

/** PostgreSQL's dialect without PostgreSQL: notes what is asked and answers what a test laid out. */
class Recorder extends (knex.Client as unknown as { new (config: Knex.Config): Knex.Client }) {}

beforeEach(() => {
  asked = [];
  answers = [];
  db = knex({ client: "pg" });
  const client = db.client as Recorder & Record<string, unknown>;
  client.acquireConnection = async () => ({});
  client.releaseConnection = async () => undefined;
  client._query = async (_connection: unknown, query: Asked & { response?: unknown }) => {
    asked.push({ sql: query.sql, bindings: query.bindings });
    query.response = { command: query.sql.split(" ")[0]?.toUpperCase(), rows: answers.shift() ?? [] };
    return query;
  };
  library = new PostgresLibrary(db, KEY);
});
afterEach(async () => {
  await db.destroy();
});

test("a kind reaches the database as a value, never as text of the query", async () => {
  answers = [[{ id: 1, title: "Metropolis", kind: "film", year: 1927 }]];
  expect(await library.listMedia("film")).toHaveLength(1);
  expect(asked[0]?.bindings).toEqual(["film"]);
  expect(asked[0]?.sql).not.toContain("film");
});

test("without a kind all titles are asked for", async () => {
  await library.listMedia(undefined);
  expect(asked[0]?.sql).not.toContain("where");
});

test("an unknown title and an unknown account are undefined", async () => {
  expect(await library.findMedia(7)).toBeUndefined();
  expect(await library.findAccount("who@example.com")).toBeUndefined();
});

test("an account comes with its hash", async () => {
  answers = [[{ email: "qa@example.com", password_hash: "salt:hash" }]];
  expect(await library.findAccount("qa@example.com")).toEqual({ email: "qa@example.com", passwordHash: "salt:hash" });
});

test("a note is sealed before it is stored and opened when it is read", async () => {
  const made = new Date(0);
  const row = (sealed: unknown) => ({ id: 1, title: "Faust", note_sealed: sealed, requested_by: "qa@example.com", created_at: made });
  const client = db.client as Record<string, unknown>;
  const query = client._query as (connection: unknown, query: Asked) => Promise<unknown>;
  client._query = async (connection: unknown, given: Asked) => {
    answers = [[row(given.bindings.find((value) => String(value).split(".").length === 3))]];
    return query(connection, given);
  };
  const stored = await library.addRequest("Faust", "please soon", "qa@example.com");
  expect(asked[0]?.bindings.join(" ")).not.toContain("please");
  expect(stored).toMatchObject({ note: "please soon", createdAt: made.toISOString() });
});
