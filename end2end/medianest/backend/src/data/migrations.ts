import type { Knex } from "knex";

/** One migration file. */
export interface Migration {
  up(db: Knex): Promise<void>;
  down(db: Knex): Promise<void>;
}

/** Gives knex its migrations by file name, in order of name, which is order of time. */
export function migrationSource(names: string[], load: (name: string) => Promise<Migration>): Knex.MigrationSource<string> {
  return {
    getMigrations: async () => [...names].sort(),
    getMigrationName: (name) => name,
    getMigration: load,
  };
}
