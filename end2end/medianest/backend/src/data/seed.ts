import type { Knex } from "knex";
import type { Media } from "@medianest/shared";
import { encrypt, hashPassword } from "../platform/crypto.js";

/** What a seed file holds. */
export interface Seed {
  titles: Omit<Media, "id">[];
  account: string;
  /** The first wish, so that no table is empty. */
  wish: { title: string; note: string };
}

/** Adds what is missing and touches nothing that is there, so that it may run any number of times. */
export async function plantSeed(db: Knex, seed: Seed, password: string | undefined, sealKey = ""): Promise<{ added: number; present: number }> {
  if (!password) throw new Error("STAGING_PASSWORD is missing: the seed account needs it");
  return db.transaction(async (tx) => {
    const titles = await tx("media").insert(seed.titles).onConflict(["title", "year"]).ignore().returning("id");
    const people = await tx("accounts")
      .insert({ email: seed.account, password_hash: hashPassword(password) })
      .onConflict("email")
      .ignore()
      .returning("id");
    const wishes = (await tx("requests").first("id"))
      ? []
      : await tx("requests")
          .insert({ title: seed.wish.title, note_sealed: encrypt(seed.wish.note, sealKey), requested_by: seed.account })
          .returning("id");
    const added = titles.length + people.length + wishes.length;
    return { added, present: seed.titles.length + 2 - added };
  });
}
