// A deploy that fails, and the one click that brings the good release back. On the real engine and the bundled example.
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

test("a bad release fails, and one click brings the good one back", async ({ browser }) => {
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
  await test.step("a second version lies in the directory, and the board says so", async () => {
    const page = person("Dana").page;
    await page.goto("/");
    example.node("scripts/make-v2.mjs", "bad");
    secondCommit = example.commit("MediaNest 1.1.0, which is not well");
    // Nobody reloads.
    await expect(page.locator('[data-live="verdict"]')).toContainText(secondCommit, { timeout: minute });
    await shots(page, "board-moved-on");
  });

  await test.step("its deploy fails, and the page names the service with its last lines", async () => {
    const page = person("Dana").page;
    await startDeploy(page);
    await runEnds(page, "Failed", 5 * minute);
    const outcome = page.locator('[data-live="run-outcome"]');
    await expect(outcome).toContainText("backend");
    await expect(outcome).toContainText("unhealthy");
    await expect(outcome.locator("pre").first()).not.toBeEmpty();
    await shots(page, "deploy-failed");
  });

  await test.step("the board says No-Go and why, and offers the way back before everything else", async () => {
    const page = person("Quinn").page;
    await page.goto("/");
    await expect(page.getByRole("heading", { name: "No-Go" })).toBeVisible();
    await expect(page.locator('[data-live="alerts"]')).toContainText("The deploy failed");
    await expect(page.locator('[data-live="alerts"]')).toContainText("backend");
    const first = page.locator("main").locator("summary.btn, button").first();
    await expect(first).toHaveText(new RegExp(`Back to ${firstCommit}`));
    await shots(page, "board-failed");
  });

  await test.step("one click and one confirmation bring v1 back, with proof", async () => {
    const page = person("Quinn").page;
    await page.locator("summary", { hasText: `Back to ${firstCommit}` }).click();
    const panel = form(page, "roll_back").first();
    await expect(panel).toContainText("backend");
    // Gate D's checks read the migrations, and the deploy that failed applied none: nothing to ask.
    await expect(panel).toContainText("no migrations between");
    await expect(panel.getByRole("radio")).toHaveCount(0);
    await shots(page, "rollback-confirm");
    await panel.getByRole("button", { name: `Yes, back to ${firstCommit}` }).click();
    await page.waitForURL(/\/runs\/\d+/);
    await runEnds(page, "Passed", 3 * minute);
    const proof = page.locator('[data-live="run-outcome"]');
    await expect(proof).toContainText("Proof of the rollback");
    await expect(proof.locator(".badge", { hasText: "Same" })).toHaveCount(7);
    await shots(page, "rollback-done");
    expect(await example.version()).toBe("1.0.0");
  });

  await test.step("the board judges v1 again: what people attested on it still counts", async () => {
    const page = person("Dana").page;
    await page.goto("/");
    await expect(page.locator('[data-live="verdict"]')).toContainText(firstCommit);
    await shots(page, "board-back");
    await page.goto("/gates/B");
    await expect(byId(page, "B.1")).toContainText("Signed in over SSH with the staging key");
    await page.goto("/sign-offs");
    await shots(page, "sign-offs-back");
    await page.goto("/ownership");
    await expect(page.locator("main")).toContainText("Known from here");
    await page.goto("/releases");
    await shots(page, "releases");
    await page.goto("/releases/1");
    await shots(page, "release");
  });

  await test.step("the rollback opened an incident, and people say why it happened", async () => {
    const page = person("Bela").page;
    await page.goto("/");
    await page.getByRole("link", { name: "Incident 1" }).first().click();
    await expect(page.getByRole("heading", { level: 1 })).toContainText("Incident 1");
    await expect(page.locator('[data-live="incident-timeline"]')).toContainText("Quinn decided to go back");
    await expect(page.locator("main")).toContainText("Last words of backend");
    await form(page, "name_cause").locator("[name=text]").fill("Its health check answers 503 on purpose");
    await page.getByRole("button", { name: "Record the cause" }).click();
    await expect(notice(page)).toContainText("cause is recorded");
    await form(page, "add_follow_up").locator("[name=text]").fill("Look at /health before a deploy");
    await form(page, "add_follow_up").getByRole("button").click();
    await expect(page.locator('[data-live="incident-follow-ups"]')).toContainText("Look at /health");
    const report = await (await page.request.get("/incidents/1/report.md")).text();
    expect(report).toContain("Its health check answers 503 on purpose");
    await shots(page, "incident");
  });

  await test.step("the activity names the rollback, and the chain is whole", async () => {
    const page = person("Bela").page;
    await page.goto("/activity");
    await expect(page.locator("main")).toContainText("rollback.start");
    expect(server.command("verify").said).toContain("whole");
  });

  expect(complaints.heard).toEqual([]);
});
