/** The titles of the library. */
export async function up(knex) {
  await knex.schema.createTable("media", (table) => {
    table.increments("id");
    table.text("title").notNullable();
    table.text("kind").notNullable().checkIn(["film", "series"]);
    table.integer("year").notNullable();
    table.unique(["title", "year"]);
  });
}

export async function down(knex) {
  await knex.schema.dropTable("media");
}
