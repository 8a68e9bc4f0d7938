import type { Knex } from "knex";
import type { Media, MediaRequest } from "@medianest/shared";
import { decrypt, encrypt } from "../platform/crypto.js";
import type { Account, Library } from "../api/ports.js";

interface RequestRow {
  id: number;
  title: string;
  note_sealed: string;
  requested_by: string;
  created_at: Date;
}

/** The library in PostgreSQL. */
export class PostgresLibrary implements Library {
  readonly #db: Knex;
  readonly #encryptionKey: string;

  constructor(db: Knex, encryptionKey: string) {
    this.#db = db;
    this.#encryptionKey = encryptionKey;
  }

  async ping(): Promise<void> {
    await this.#db.raw("select 1");
  }

  async listMedia(kind: Media["kind"] | undefined): Promise<Media[]> {
    const query = this.#db<Media>("media").select("id", "title", "kind", "year").orderBy("title");
    return kind === undefined ? query : query.where({ kind });
  }

  async findMedia(id: number): Promise<Media | undefined> {
    return this.#db<Media>("media").select("id", "title", "kind", "year").where({ id }).first();
  }

  async findAccount(email: string): Promise<Account | undefined> {
    const row = await this.#db("accounts").select("email", "password_hash").where({ email }).first();
    return row === undefined ? undefined : { email: row.email, passwordHash: row.password_hash };
  }

  async listRequests(): Promise<MediaRequest[]> {
    const rows = await this.#db<RequestRow>("requests").select("*").orderBy("id", "desc").limit(100);
    return rows.map((row) => this.#opened(row as RequestRow));
  }

  async addRequest(title: string, note: string, requestedBy: string): Promise<MediaRequest> {
    const row = { title, note_sealed: encrypt(note, this.#encryptionKey), requested_by: requestedBy };
    const [stored] = await this.#db("requests").insert(row).returning<RequestRow[]>("*");
    if (stored === undefined) throw new Error("the database returned no row for the new request");
    return this.#opened(stored);
  }

  async close(): Promise<void> {
    await this.#db.destroy();
  }

  #opened(row: RequestRow): MediaRequest {
    return {
      id: row.id,
      title: row.title,
      note: decrypt(row.note_sealed, this.#encryptionKey),
      requestedBy: row.requested_by,
      createdAt: row.created_at.toISOString(),
    };
  }
}
