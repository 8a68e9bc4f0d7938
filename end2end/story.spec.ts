// The complete process on a real Docker engine: from a runbook in Markdown and no users to a release that is deployed,
// checked, signed off and Go. Each chapter names the chapters that it needs. If one of these fails, the chapter is
// skipped. When a chapter is repeated, parts of it may be done already. For failed deploys see failure.spec.ts.
import { expect } from "@playwright/test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  accept,
  attest,
  byId,
  dayFromNow,
  fillSignature,
  logLines,
  notice,
  repeated,
  runAll,
  runCheck,
  runEnds,
  runNumber,
  runState,
  runStep,
  sign,
  startDeploy,
  startStep,
  waive,
} from "./support/acts.ts";
import type { Person } from "./support/people.ts";
import { shots } from "./support/shots.ts";
import { needs, test } from "./support/story.ts";

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const minute = 60_000;

const adminMade = "the setup link creates the first admin";
test(adminMade, async ({ story: { people, person, hasJoined, joined, server, complaints } }) => {
  if (!hasJoined("Ada")) joined(await people.admin("Ada", (page) => shots(page, "setup-link")));
  const admin = person("Ada");
  if (repeated()) await admin.page.goto("/");
  await expect(admin.page.getByRole("heading", { name: "No-Go" })).toBeVisible();
  await shots(admin.page, "board-empty");
  await expect(admin.page.locator("main")).toContainText("No release is open yet");
  // The link works only once.
  const { context, page } = await people.stranger("a second visitor");
  await complaints.ignoring(async () => {
    await page.goto(server.setupLink);
    await expect(page.getByRole("heading", { level: 1 })).toContainText("cannot be shown");
  });
  await context.close();
});

const invited = "the admin invites seven people, and each chooses a password";
test(invited, needs(adminMade), async ({ story: { people, person, hasJoined, joined } }) => {
  const roles: [string, string][] = [
    ["Dana", "DevOps"],
    ["Bela", "Backend"],
    ["Femi", "Frontend"],
    ["Quinn", "QA"],
    ["Sina", "Security"],
    ["Doro", "Docs"],
    ["Pia", "PO"],
  ];
  for (const [name, role] of roles) {
    if (hasJoined(name)) continue;
    const link = await people.invite(person("Ada"), name, [role]);
    if (name === "Dana") await shots(person("Ada").page, "people-link");
    const newcomer = await people.join(link, name);
    await newcomer.page.goto("about:blank");
    joined(newcomer);
  }
  await person("Ada").page.goto("/people");
  for (const [name] of roles) await expect(person("Ada").page.locator("main")).toContainText(name);
  await shots(person("Ada").page, "people");
});

const emptyBoard = "the empty board shows No-Go, the first step and the first deploy";
test(emptyBoard, needs(invited), async ({ story: { person, example } }) => {
  const page = person("Dana").page;
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "No-Go" })).toBeVisible();
  await expect(page.locator("ol.gates > li")).toHaveCount(8);
  const next = page.locator('[data-live="next"]');
  await expect(next).toContainText("A.s1");
  await expect(next.getByRole("button", { name: "Run" })).toBeEnabled();
  await expect(next.locator("summary", { hasText: `Deploy ${example.head()}` })).toBeVisible();
  // The role Admin alone may not run steps; the page shows the reason.
  await person("Ada").page.goto("/");
  const refused = person("Ada").page.locator('[data-live="next"]').getByRole("button", { name: "Run" });
  await expect(refused).toBeDisabled();
  await expect(person("Ada").page.locator('[data-live="next"] .offer__why').first()).not.toBeEmpty();
});

const firstSteps = "gate A: the first steps and a check are run from the page";
test(firstSteps, needs(invited), async ({ story: { person } }) => {
  const devops = person("Dana").page;
  await runStep(devops, "A.s1", "Passed", 3 * minute);
  await runStep(devops, "A.s2");
  await runStep(devops, "A.s3");
  await runCheck(devops, "A", "clean-tree");
});

const testsRun = "gate A: a log is live for all viewers, and complete for those who open it later";
test(testsRun, needs(firstSteps), async ({ story: { person } }) => {
  const devops = person("Dana").page;
  const qa = person("Quinn").page;
  const run = await startStep(qa, "A.s4");
  await expect(runState(qa)).toHaveText("Running");
  await expect(logLines(qa).first()).toBeVisible({ timeout: minute });
  await shots(qa, "run-live");
  const early = await logLines(qa).count();
  // A second viewer opens the page later and sees all lines.
  const late = person("Femi").page;
  await late.goto(`/runs/${run}`);
  await expect(logLines(late).first()).toBeVisible();
  await expect.poll(() => logLines(qa).count(), { timeout: minute }).toBeGreaterThan(early);
  await runEnds(qa, "Passed");
  await runEnds(late, "Passed");
  for (const page of [qa, late]) await expect(page.locator(".log-t", { hasText: "Test Files" }).first()).toBeVisible();
  await qa.reload();
  await expect(lineWith(qa, "Test Files")).toBeVisible();
  await shots(qa, "run-ended");
  const whole = await (await qa.request.get(`/runs/${run}/log`)).text();
  expect(whole).toContain("Test Files");
  expect(whole.split("\n").length).toBeGreaterThan(early);

  await runStep(devops, "A.s6");
  // The command exits with 3: the registry did not answer.
  await runStep(devops, "A.s7", "Inconclusive");
  await expect(devops.locator('[data-live="run-outcome"]')).toContainText("Inconclusive");
});

const auditWaived = "gate A: an inconclusive audit does not pass, and Security waives it";
test(auditWaived, needs(testsRun), async ({ story: { person } }) => {
  const page = person("Sina").page;
  await page.goto("/gates/A");
  await expect(byId(page, "A.1").locator(".badge").first()).toHaveText("Proved");
  await expect(byId(page, "A.2").locator(".badge").first()).toHaveText("Proved");
  const waived = await byId(page, "A.3").getByText("Waived by Sina").count();
  if (!repeated() || waived === 0) {
    await expect(byId(page, "A.3")).toContainText("Inconclusive");
    await expect(byId(page, "A.3").locator(".badge").first()).toHaveText("Open");
    await shots(page, "gate-A-open");
  }
  await waive(person("Sina"), "A.3", "The registry gives no audit; the lock file was read by hand", dayFromNow(7));
  await shots(page, "gate-A-waived");
});

const hostAttested = "gate B: checks are inconclusive before the deploy, and a criterion is attested";
test(hostAttested, needs(firstSteps), async ({ story: { person } }) => {
  const page = person("Dana").page;
  await runStep(page, "B.s1");
  await runStep(page, "B.s2");
  await runStep(page, "B.s3");
  await runStep(page, "B.s4");
  // The proxy does not run yet.
  await runAll(page, "B", "Inconclusive");
  await attest(person("Dana"), "B.1", "Signed in over SSH with the staging key", "https://wiki.example.org/staging");
  await expect(byId(page, "B.1").locator(".badge").first()).toHaveText("Proved");
  await shots(page, "gate-B");
});

const secretsPrivate = "gate C: a secrets file that all users can read fails, is corrected by a step, and passes";
test(secretsPrivate, needs(firstSteps), async ({ story: { person, example } }) => {
  const page = person("Sina").page;
  example.exposeSecrets();
  await runStep(page, "C.s1");
  await runAll(page, "C", "Failed");
  await page.goto("/gates/C");
  await expect(byId(page, "C.1").locator(".badge").first()).toHaveText("Failing");
  await expect(byId(page, "C.1")).toContainText("0644");
  await shots(page, "gate-C-failing");
  await runStep(page, "C.s2");
  await runStep(page, "C.s3");
  await runAll(page, "C");
  await page.goto("/gates/C");
  await expect(byId(page, "C.1").locator(".badge").first()).toHaveText("Proved");
  await expect(byId(page, "C.2").locator(".badge").first()).toHaveText("Proved");
});

const deployed = "v1 is deployed from the page, and the progress of each service is shown";
test(deployed, needs(firstSteps), async ({ story: { person, example } }) => {
  const page = person("Dana").page;
  await startDeploy(page);
  const progress = page.locator('[data-live="run-progress"]');
  await expect(progress).toContainText("backend", { timeout: 2 * minute });
  await shots(page, "deploy-running");
  // The page shows other people who is deploying.
  const other = person("Bela").page;
  await other.goto("/");
  await expect(other.locator('[data-live="running"]')).toContainText("Deploy");
  await expect(other.locator('[data-live="release"]')).toContainText("started by Dana");
  await runEnds(page, "Passed", 4 * minute);
  await shots(page, "deploy-done");
  expect(await example.version()).toBe("1.0.0");
  await page.goto("/");
  await expect(page.locator('[data-live="services"] .badge', { hasText: "healthy" })).toHaveCount(7);
  await shots(page, "board-deployed");
});

const proxyProved = "gate B: the proxy has a valid certificate, and data stores are not published";
test(proxyProved, needs(deployed), async ({ story: { person } }) => {
  const page = person("Dana").page;
  await runAll(page, "B");
  await page.goto("/gates/B");
  await expect(byId(page, "B.2").locator(".badge").first()).toHaveText("Proved");
});

const acceptedInOrder = "gate B cannot be accepted before A, neither on the page nor by a forged request";
test(acceptedInOrder, needs(hostAttested, proxyProved), async ({ story: { person, server } }) => {
  const page = person("Dana").page;
  await page.goto("/gates/B");
  const button = page.locator('[data-live="accept-form"] button').first();
  await expect(button).toBeDisabled();
  await expect(page.locator('[data-live="accept-form"]')).toContainText("waiting for A");
  const key = `forged-${Date.now()}`;
  const fields = { gate: "B", digest: "0".repeat(64), note: "forged", key, back: "/gates/B", form: "accept_gate:B" };
  const ours = { Origin: server.base, Accept: "text/html" };
  const forged = await page.request.post("/api/accept_gate", { form: fields, headers: ours });
  expect(await forged.text()).toContain("waiting for A");
  const foreign = await page.request.post("/api/accept_gate", { form: fields, headers: { Origin: "http://evil.example" } });
  expect(foreign.status()).toBe(403);
  await page.goto("/gates/B");
  await expect(page.locator('[data-live="accept-state"]')).not.toHaveText("Accepted");
});

const dataProved = "gate D: data, a backup, and its restore pass";
test(dataProved, needs(deployed), async ({ story: { person } }) => {
  const page = person("Bela").page;
  for (const step of ["D.s2", "D.s3", "D.s4", "D.s5", "D.s6"]) await runStep(page, step);
  await runAll(page, "D", "Passed", 4 * minute);
  await page.goto("/gates/D");
  await expect(byId(page, "D.1").locator(".badge").first()).toHaveText("Proved");
  await expect(byId(page, "D.2").locator(".badge").first()).toHaveText("Proved");
  await expect(byId(page, "step-D.s1")).toContainText("Use Deploy instead");
  await shots(page, "gate-D");
});

const servicesProved = "gate E: the services are healthy";
test(servicesProved, needs(deployed), async ({ story: { person } }) => {
  await runAll(person("Dana").page, "E", "Passed", 5 * minute);
});

const suitesProved = "gate F: the test suites pass, and the audit is waived again";
test(suitesProved, needs(dataProved), async ({ story: { person, example } }) => {
  const page = person("Quinn").page;
  for (const step of ["F.s1", "F.s2", "F.s3"]) await runStep(page, step);
  const masked = await (await page.request.get(`/runs/${runNumber(page) - 1}/log`)).text();
  expect(masked).not.toContain(example.secret("METRICS_TOKEN"));
  await runAll(page, "F", "Inconclusive", 8 * minute);
  await shots(page, "run-checks");
  await page.goto("/gates/F");
  await expect(byId(page, "F.1").locator(".badge").first()).toHaveText("Proved");
  await expect(byId(page, "F.2").locator(".badge").first()).toHaveText("Proved");
  await waive(person("Sina"), "F.3", "The registry gives no audit; metrics, CORS and limits were proved", dayFromNow(7));
  await shots(person("Sina").page, "gate-F");
});

// This runs before the gates are accepted: a new inconclusive result would withdraw an acceptance.
const matrixRuns = "the matrix runs all rows";
test(matrixRuns, needs(dataProved), async ({ story: { person } }) => {
  const page = person("Quinn").page;
  await runAll(page, "matrix", "Inconclusive", 8 * minute);
  await page.goto("/matrix");
  await expect(page.locator('[data-live="matrix-state"]')).toContainText("5 of 6 rows passed");
  await shots(page, "matrix");
});

const accepted = "gates A to F are accepted in order, each by an owner";
const allProved = needs(auditWaived, hostAttested, proxyProved, secretsPrivate, dataProved, servicesProved, suitesProved);
test(accepted, allProved, async ({ story: { person } }) => {
  await accept(person("Bela"), "A", "Green on this commit, audit waived");
  await accept(person("Dana"), "B", "Host is ready");
  await accept(person("Sina"), "C", "Secrets are in place");
  await accept(person("Bela"), "D", "Backup restored and compared");
  await accept(person("Dana"), "E", "Seven services healthy");
  await accept(person("Quinn"), "F", "Everything but the audit was proved");
  if (!repeated()) await expect(notice(person("Quinn").page)).toContainText("rollback target");
});

const alertsProved = "gate G: metrics and alerts are checked, and attested by DevOps";
test(alertsProved, needs(deployed), async ({ story: { person } }) => {
  await runAll(person("Dana").page, "G", "Passed", 4 * minute);
  await attest(person("Dana"), "G.1", "Dashboards show fresh data, the test alert came through", "https://grafana.example.org/d/staging");
});

const allAccepted = "gate G is accepted after the others";
test(allAccepted, needs(accepted, alertsProved), async ({ story: { person } }) => {
  await accept(person("Dana"), "G", "Dashboards and alerts seen");
  await shots(person("Dana").page, "gate-G-accepted");
});

const ownershipFilled = "the ownership log is filled, and exported as the runbook's own section";
test(ownershipFilled, needs(deployed), async ({ story: { person, example, data } }) => {
  const page = person("Dana").page;
  const fill = async (field: string, value: string) => {
    await page.goto("/ownership");
    const line = byId(page, field);
    if (repeated() && (await line.getByText("Dana").count()) > 0) return;
    await line.locator('input[name="value"]:visible').first().fill(value);
    await line.getByRole("button", { name: "Save" }).click();
    await expect(byId(page, field)).toContainText("Dana");
  };
  await page.goto("/ownership");
  const fields = await page.locator(".own > [id]").evaluateAll((found) => found.map((f) => f.id));
  const line = (n: number) => fields.filter((id) => id.startsWith(`own.${n}.`));
  await shots(page, "ownership-empty");
  await fill(line(1)[0]!, "Dana");
  await fill(line(1)[1]!, dayFromNow(0));
  await fill(line(2)[0]!, "Sina");
  await fill(line(2)[1]!, dayFromNow(0));
  for (const field of line(3)) {
    await page.goto("/ownership");
    const takeOver = byId(page, field).getByRole("button", { name: "Use this value" });
    if (!repeated() || (await takeOver.count()) > 0) await takeOver.click();
    await expect(byId(page, field)).toContainText("Dana");
  }
  await fill(line(5)[0]!, "Quinn");
  await shots(page, "ownership");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Export as Markdown" }).click(),
  ]);
  const path = join(data, "ownership.md");
  await download.saveAs(path);
  const markdown = readFileSync(path, "utf8");
  expect(markdown).toContain("## Ownership Log");
  expect(markdown).toContain(`Staging VM provisioned by: Dana  on: ${dayFromNow(0)}`);
  expect(markdown).toContain(`First deploy commit: ${example.head()}`);
  expect(markdown).toContain("Rollback drill date: ____");
});

const checklistDone = "the checklist is attested and proved, and the Product Owner waives one item";
test(checklistDone, needs(deployed), async ({ story: { person } }) => {
  await runCheck(person("Dana").page, "H", "json-lines");
  await attest(person("Sina"), "H.c4", "The vault entry was compared with the file");
  await attest(person("Quinn"), "H.c5", "Alerts reach the channel, logs reach the collector");
  await runCheck(person("Dana").page, "H", "two-ways-back", "Failed");
  await waive(person("Pia"), "H.c6", "First release: there is only one rollback target", dayFromNow(14));
  await shots(person("Pia").page, "gate-H");
});

const signed = "six people sign off Go on their phones, each with the password";
test(signed, needs(allAccepted, checklistDone), async ({ story: { person, people } }) => {
  const signers: [string, string][] = [
    ["Bela", "Backend"],
    ["Femi", "Frontend"],
    ["Quinn", "QA"],
    ["Sina", "Security"],
    ["Dana", "DevOps"],
    ["Pia", "PO"],
  ];
  for (const [name, role] of signers) {
    const hand = await people.signIn(person(name), phone);
    const comment = `Reviewed as ${role}`;
    if (repeated()) {
      await hand.page.goto("/sign-offs");
      if ((await byId(hand.page, `sign-${role}`).getByText(comment).count()) > 0) {
        await hand.context.close();
        continue;
      }
    }
    if (name === "Bela") {
      await hand.page.goto("/sign-offs");
      await shots(hand.page, "sign-offs-before");
      await sign(hand, role, comment, "not the password");
      await expect(notice(hand.page)).toBeVisible({ timeout: 20_000 });
      const card = byId(hand.page, `sign-${role}`);
      await expect(card.locator("[name=comment]")).toHaveValue(comment);
      await expect(card.getByRole("radio", { name: /^Go/ })).toBeChecked();
      await shots(hand.page, "sign-offs-wrong-password");
      // After a wrong password the next try is delayed.
      await hand.page.waitForTimeout(3_000);
      await fillSignature(card, comment, hand.password);
    } else {
      await sign(hand, role, comment);
    }
    await expect(notice(hand.page)).toContainText(`${role} signed Go`, { timeout: 20_000 });
    await expect(byId(hand.page, `sign-${role}`)).toContainText(comment);
    if (name === "Pia") await shots(hand.page, "sign-offs-after");
    await hand.context.close();
  }
});

const decided = "the verdict is Go, and the Product Owner records it";
test(decided, needs(signed), async ({ story: { person } }) => {
  const page = person("Pia").page;
  await page.goto("/");
  await expect(page.getByRole("heading", { name: /^Go/ })).toContainText(/waiver/i);
  await page.goto("/sign-offs");
  const card = byId(page, "decision");
  if (repeated() && (await card.getByText("Ready for staging").count()) > 0) return;
  await card.locator("summary").click();
  await card.getByRole("radio", { name: /^Go/ }).check();
  await card.locator("[name=note]").fill("Ready for staging");
  await card.locator("[name=password]").fill(person("Pia").password);
  await card.getByRole("button", { name: "Record decision" }).click();
  await expect(notice(page)).toContainText("Go is recorded", { timeout: 20_000 });
  await shots(page, "board-go");
});

const activityComplete = "the activity contains all actions, and the audit log is intact";
test(activityComplete, needs(invited), async ({ story: { person, server, passed } }) => {
  const page = person("Doro").page;
  const texts: string[] = [];
  await page.goto("/activity");
  await shots(page, "activity");
  for (let pages = 0; pages < 20; pages++) {
    texts.push(await page.locator("main").innerText());
    const older = page.getByRole("link", { name: "Older" });
    if ((await older.count()) === 0) break;
    const before = page.url();
    await older.click();
    // The click returns before the next page is loaded.
    await page.waitForURL((url) => url.href !== before);
  }
  const all = texts.join("\n");
  const acts: [string, string[]][] = [
    [invited, ["link.use", "person.invite"]],
    [firstSteps, ["step.run"]],
    [auditWaived, ["item.waive"]],
    [hostAttested, ["gate.run", "item.attest"]],
    [deployed, ["deploy.start"]],
    [accepted, ["gate.accept"]],
    [signed, ["release.sign", "Refused"]],
    [decided, ["release.decide"]],
  ];
  for (const [made, names] of acts) {
    for (const name of passed(made) ? names : []) expect.soft(all, `the activity contains ${name}`).toContain(name);
  }
  const verified = server.command("verify");
  expect(verified.said).toContain("intact");
  expect(verified.code).toBe(0);
});

function lineWith(page: Person["page"], text: string) {
  return page.locator(".log-t:visible", { hasText: text }).first();
}
