/** Wishes for titles. The note is sealed by the API before it gets here. */
export async function up(knex) {
  await knex.schema.createTable("requests", (table) => {
    table.increments("id");
    table.text("title").notNullable();
    table.text("note_sealed").notNullable();
    table.text("requested_by").notNullable().references("email").inTable("accounts");
    table.timestamp("created_at", { useTz: true }).notNullable().defaultTo(knex.fn.now());
  });
}

export async function down(knex) {
  await knex.schema.dropTable("requests");
}
