// A deploy fails and is rolled back. Uses a real Docker engine and the bundled example.
import { expect, test } from "@playwright/test";
import { attest, byId, notice, runAll, runEnds, runStep, startDeploy } from "./support/acts.ts";
import { Complaints } from "./support/complaints.ts";
import { form, People, type Person } from "./support/people.ts";
import { Served } from "./support/served.ts";
import { shots } from "./support/shots.ts";

const minute = 60_000;

let served: Served | undefined;

test.beforeAll(async () => {
  served = await Served.start("failure");
});

test.afterAll(async () => {
  test.setTimeout(2 * minute);
  await served?.remove();
});

test("a deploy fails, and a rollback restores the earlier release", async ({ browser }) => {
  const { example, server } = served!;
  const complaints = new Complaints();
  const people = new People(browser, server, complaints);
  const who: Record<string, Person> = {};
  const person = (name: string): Person => who[name]!;
  const firstCommit = example.head();

  await test.step("v1 is deployed, its database filled and checked", async () => {
    const admin = await people.admin("Ada");
    const invited: [string, string[]][] = [["Dana", ["DevOps"]], ["Bela", ["Backend"]], ["Quinn", ["QA"]]];
    for (const [name, roles] of invited) who[name] = await people.join(await people.invite(admin, name, roles), name);
    const page = person("Dana").page;
    await runStep(page, "A.s1", "Passed", 3 * minute);
    await startDeploy(page);
    await runEnds(page, "Passed", 5 * minute);
    for (const step of ["D.s2", "D.s3", "D.s4", "D.s5", "D.s6"]) await runStep(page, step);
    await runAll(page, "D", "Passed", 4 * minute);
    await attest(person("Dana"), "B.1", "Signed in over SSH with the staging key");
  });

  let secondCommit = "";
  await test.step("a second version is committed, and the board shows that the checkout has changed", async () => {
    const page = person("Dana").page;
    await page.goto("/");
    example.node("scripts/make-v2.mjs", "bad");
    secondCommit = example.commit("MediaNest 1.1.0, which is unhealthy");
    // The page is not reloaded.
    await expect(page.locator('[data-live="verdict"]')).toContainText(secondCommit, { timeout: minute });
    await shots(page, "board-moved-on");
  });

  await test.step("its deploy fails, and the page shows the service with its last log lines", async () => {
    const page = person("Dana").page;
    await startDeploy(page);
    await runEnds(page, "Failed", 5 * minute);
    const outcome = page.locator('[data-live="run-outcome"]');
    await expect(outcome).toContainText("backend");
    await expect(outcome).toContainText("unhealthy");
    await expect(outcome.locator("pre").first()).not.toBeEmpty();
    await shots(page, "deploy-failed");
  });

  await test.step("the board shows No-Go with the reason, and the rollback before everything else", async () => {
    const page = person("Quinn").page;
    await page.goto("/");
    await expect(page.getByRole("heading", { name: "No-Go" })).toBeVisible();
    await expect(page.locator('[data-live="alerts"]')).toContainText("The deploy failed");
    await expect(page.locator('[data-live="alerts"]')).toContainText("backend");
    const first = page.locator("main").locator("summary.btn, button").first();
    await expect(first).toHaveText(new RegExp(`Roll back to ${firstCommit}`));
    await shots(page, "board-failed");
  });

  await test.step("v1 is restored after one confirmation, and verified", async () => {
    const page = person("Quinn").page;
    await page.locator("summary", { hasText: `Roll back to ${firstCommit}` }).click();
    const panel = form(page, "roll_back").first();
    await expect(panel).toContainText("backend");
    // Gate D's checks read the migrations, and the failed deploy applied none: there is no choice to make.
    await expect(panel).toContainText("no migrations between");
    await expect(panel.getByRole("radio")).toHaveCount(0);
    await shots(page, "rollback-confirm");
    await panel.getByRole("button", { name: `Yes, roll back to ${firstCommit}` }).click();
    await page.waitForURL(/\/runs\/\d+/);
    await runEnds(page, "Passed", 3 * minute);
    const proof = page.locator('[data-live="run-outcome"]');
    await expect(proof).toContainText("Rollback verification");
    await expect(proof.locator(".badge", { hasText: "Same" })).toHaveCount(7);
    await shots(page, "rollback-done");
    expect(await example.version()).toBe("1.0.0");
  });

  await test.step("the board shows v1 again, and its attestations still count", async () => {
    const page = person("Dana").page;
    await page.goto("/");
    await expect(page.locator('[data-live="verdict"]')).toContainText(firstCommit);
    await shots(page, "board-back");
    await page.goto("/gates/B");
    await expect(byId(page, "B.1")).toContainText("Signed in over SSH with the staging key");
    await page.goto("/sign-offs");
    await shots(page, "sign-offs-back");
    await page.goto("/ownership");
    await expect(page.locator("main")).toContainText("Suggested value");
    await page.goto("/releases");
    await shots(page, "releases");
    await page.goto("/releases/1");
    await shots(page, "release");
  });

  await test.step("the rollback opened an incident, and its cause is recorded", async () => {
    const page = person("Bela").page;
    await page.goto("/");
    await page.getByRole("link", { name: "Incident 1" }).first().click();
    await expect(page.getByRole("heading", { level: 1 })).toContainText("Incident 1");
    await expect(page.locator('[data-live="incident-timeline"]')).toContainText("Quinn started a rollback to");
    await expect(page.locator("main")).toContainText("Last log lines of backend");
    await form(page, "name_cause").locator("[name=text]").fill("Its health check answers 503 on purpose");
    await page.getByRole("button", { name: "Record cause" }).click();
    await expect(notice(page)).toContainText("cause is recorded");
    await form(page, "add_follow_up").locator("[name=text]").fill("Check /health before a deploy");
    await form(page, "add_follow_up").getByRole("button").click();
    await expect(page.locator('[data-live="incident-follow-ups"]')).toContainText("Check /health");
    const report = await (await page.request.get("/incidents/1/report.md")).text();
    expect(report).toContain("Its health check answers 503 on purpose");
    await shots(page, "incident");
  });

  await test.step("the activity contains the rollback, and the audit log is intact", async () => {
    const page = person("Bela").page;
    await page.goto("/activity");
    await expect(page.locator("main")).toContainText("rollback.start");
    expect(server.command("verify").said).toContain("intact");
  });

  expect(complaints.heard).toEqual([]);
});
