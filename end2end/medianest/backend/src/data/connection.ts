import knex, { type Knex } from "knex";

/** A small pool on PostgreSQL that gives up quickly instead of hanging. */
export function connect(databaseUrl: string): Knex {
  return knex({
    client: "pg",
    connection: { connectionString: databaseUrl, connectionTimeoutMillis: 3000, application_name: "medianest" },
    pool: { min: 0, max: 10 },
    acquireConnectionTimeout: 5000,
  });
}
