// Rollback over a migration with a recreated database and the restored env file, and recreation of all containers with
// empty volumes. Uses a real Docker engine and the bundled example.
import { expect, test } from "@playwright/test";
import { appendFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { notice, runEnds, runStep, startDeploy } from "./support/acts.ts";
import { Complaints } from "./support/complaints.ts";
import { form, People, type Person } from "./support/people.ts";
import { Served } from "./support/served.ts";
import { shots } from "./support/shots.ts";

const minute = 60_000;
const STACK = "MediaNest staging";

let served: Served | undefined;

test.beforeAll(async () => {
  served = await Served.start("returns", (example, data) => {
    appendFileSync(example.config, `\n[rollback]\nenv_copy_key = "${join(data, "env.key")}"\n`);
    example.commit("Keep copies of the env file");
  });
});

test.afterAll(async () => {
  test.setTimeout(2 * minute);
  await served?.remove();
});

test("a rollback recreates the database and restores the env file; a clean restart removes the volumes", async ({ browser }) => {
  const { example, server } = served!;
  const complaints = new Complaints();
  const people = new People(browser, server, complaints);
  const admin = await people.admin("Ada");
  const dana: Person = await people.join(await people.invite(admin, "Dana", ["DevOps", "Backend"]), "Dana");
  const page = dana.page;
  const env = join(example.folder, ".env.staging");
  const first = readFileSync(env, "utf8");
  const sql = (question: string) =>
    example.run("docker", "compose", "--env-file", ".env.staging", "-f", "docker-compose.yml", "exec", "-T", "db",
      "psql", "-U", "medianest", "-d", "medianest", "-Atc", question).trim();
  const migrations = () => Number(sql("select count(*) from knex_migrations"));
  const media = () => Number(sql("select count(*) from media"));
  const backups = () => readdirSync(join(example.folder, "backups")).filter((name) => name.endsWith(".dump")).length;
  let known = 0;
  let seeded = 0;

  await test.step("v1 runs with its schema and seed", async () => {
    await runStep(page, "A.s1", "Passed", 3 * minute);
    await startDeploy(page);
    await runEnds(page, "Passed", 5 * minute);
    for (const step of ["D.s2", "D.s3"]) await runStep(page, step);
    known = migrations();
    seeded = media();
    expect(seeded).toBeGreaterThan(0);
  });

  await test.step("v2 has one more migration and another token", async () => {
    example.node("scripts/make-v2.mjs", "good", "--with-migration");
    writeFileSync(env, first.replace(/^METRICS_TOKEN=.*$/m, `METRICS_TOKEN=${"f0e1d2c3".repeat(6)}`));
    example.commit("MediaNest 1.1.0");
    await page.goto("/");
    await page.locator("summary", { hasText: /^Deploy / }).first().click();
    await expect(form(page, "deploy").first()).toContainText("backed up first");
    await shots(page, "deploy-confirm");
    await startDeploy(page);
    await runEnds(page, "Passed", 5 * minute);
    await runStep(page, "D.s2");
    expect(migrations()).toBe(known + 1);
    // A backup is made before every deploy but the first.
    expect(backups()).toBe(1);
    sql("delete from media");
  });

  await test.step("the rollback names the migration and requires the stack's name before it recreates the database", async () => {
    await page.goto("/releases");
    await page.locator("summary", { hasText: /^Roll back to/ }).first().click();
    const panel = form(page, "roll_back").first();
    await expect(panel).toContainText("add_media_rating");
    await expect(panel).toContainText("Env file (changed since that release)");
    await panel.getByRole("radio", { name: /Back up, then recreate the database/ }).check();
    await panel.getByRole("radio", { name: /Restore the env file of that release/ }).check();
    await shots(page, "rollback-choices");
    await panel.getByLabel("The stack's name").fill("MediaNest");
    await panel.getByRole("button", { name: /^Yes, roll back to/ }).click();
    await expect(notice(page)).toContainText(`type the stack's name: ${STACK}`);
    // The choices are kept.
    await expect(panel.getByRole("radio", { name: /Back up, then recreate the database/ })).toBeChecked();
    await expect(panel.getByRole("radio", { name: /Restore the env file of that release/ })).toBeChecked();
    await expect(panel.getByLabel("The stack's name")).toHaveValue("MediaNest");
    await panel.getByLabel("The stack's name").fill(STACK);
    await panel.getByRole("button", { name: /^Yes, roll back to/ }).click();
    await page.waitForURL(/\/runs\/\d+/);
    await runEnds(page, "Passed", 4 * minute);
    expect(await example.version()).toBe("1.0.0");
    expect(migrations()).toBe(known);
    expect(media()).toBe(seeded);
    expect(backups()).toBe(2);
    expect(readFileSync(env, "utf8")).toBe(first);
    await shots(page, "rollback-recreated");
  });

  await test.step("a clean restart keeps the volumes, or recreates them after a second confirmation", async () => {
    sql("delete from media");
    const restart = async (volumes: boolean) => {
      await page.goto("/releases");
      await page.locator("summary", { hasText: "Clean restart" }).click();
      const panel = form(page, "clean_restart").first();
      if (volumes) {
        await panel.getByRole("radio", { name: /^Remove them/ }).check();
        await panel.getByLabel("The stack's name").fill(STACK);
        await shots(page, "restart-volumes");
      }
      await panel.getByRole("button", { name: "Recreate all containers" }).click();
      await page.waitForURL(/\/runs\/\d+/);
      await runEnds(page, "Passed", 5 * minute);
    };
    await restart(false);
    expect(media()).toBe(0);
    await restart(true);
    expect(media()).toBe(seeded);
    expect(migrations()).toBe(known);
    expect(backups()).toBe(3);
    await page.goto("/incidents");
    await expect(page.locator("main")).toContainText("were recreated");
    await shots(page, "incidents");
  });

  expect(complaints.heard).toEqual([]);
});
