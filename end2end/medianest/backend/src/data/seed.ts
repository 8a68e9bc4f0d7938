import type { Knex } from "knex";
import type { Media } from "@medianest/shared";
import { hashPassword } from "../platform/crypto.js";

/** What a seed file holds. */
export interface Seed {
  titles: Omit<Media, "id">[];
  account: string;
}

/** Adds what is missing and touches nothing that is there, so that it may run any number of times. */
export async function plantSeed(db: Knex, seed: Seed, password: string | undefined): Promise<{ added: number; present: number }> {
  if (!password) throw new Error("STAGING_PASSWORD is missing: the seed account needs it");
  return db.transaction(async (tx) => {
    const titles = await tx("media").insert(seed.titles).onConflict(["title", "year"]).ignore().returning("id");
    const people = await tx("accounts")
      .insert({ email: seed.account, password_hash: hashPassword(password) })
      .onConflict("email")
      .ignore()
      .returning("id");
    const added = titles.length + people.length;
    return { added, present: seed.titles.length + 1 - added };
  });
}
