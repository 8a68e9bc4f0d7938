/** People who may sign in; the address is stored in lower case. */
export async function up(knex) {
  await knex.schema.createTable("accounts", (table) => {
    table.increments("id");
    table.text("email").notNullable().unique();
    table.text("password_hash").notNullable();
    table.timestamp("created_at", { useTz: true }).notNullable().defaultTo(knex.fn.now());
  });
}

export async function down(knex) {
  await knex.schema.dropTable("accounts");
}
