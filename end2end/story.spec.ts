// On the real engine: from a runbook in Markdown and nobody there, to a release that is deployed, checked, signed and Go.
// It is one test because each part needs the one before. What happens when a deploy fails: failure.spec.ts.
import { expect, test } from "@playwright/test";
import { join } from "node:path";
import {
  accept,
  attest,
  byId,
  dayFromNow,
  fillSignature,
  logLines,
  notice,
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
import { Complaints } from "./support/complaints.ts";
import type { Example } from "./support/example.ts";
import { form, People, type Person } from "./support/people.ts";
import { Served } from "./support/served.ts";
import { shots } from "./support/shots.ts";
import type { Stagegate } from "./support/stagegate.ts";

const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const minute = 60_000;

let served: Served | undefined;
let example: Example;
let server: Stagegate;
let data: string;

test.beforeAll(async () => {
  served = await Served.start("story");
  ({ example, server, data } = served);
});

test.afterAll(async () => {
  test.setTimeout(2 * minute);
  await served?.remove();
});

test("a release goes from an empty board to Go", async ({ browser }) => {
  const complaints = new Complaints();
  const people = new People(browser, server, complaints);
  const who: Record<string, Person> = {};
  const person = (name: string): Person => who[name]!;
  // At the end of a step every page is left: an open page reloads its parts on every change, and eight of them on one
  // machine slow down what is tested. Live pages are tested within a step.
  const part = (title: string, body: () => Promise<void>): Promise<void> =>
    test.step(title, async () => {
      await body();
      for (const { page } of Object.values(who)) await page.goto("about:blank");
    });
  const firstCommit = example.head();

  await part("the setup link makes the first admin", async () => {
    const admin = await people.admin("Ada", (page) => shots(page, "setup-link"));
    who.Ada = admin;
    await expect(admin.page.getByRole("heading", { name: "No-Go" })).toBeVisible();
    await shots(admin.page, "board-empty");
    await expect(admin.page.locator("main")).toContainText("No release is judged yet");
    // The link is used up.
    const { context, page } = await people.stranger("a late comer");
    await complaints.ignoring(async () => {
      await page.goto(server.setupLink);
      await expect(page.getByRole("heading", { level: 1 })).toContainText("cannot be shown");
    });
    await context.close();
  });

  await part("the admin invites seven people, and each chooses a password", async () => {
    const invited: [string, string][] = [
      ["Dana", "DevOps"],
      ["Bela", "Backend"],
      ["Femi", "Frontend"],
      ["Quinn", "QA"],
      ["Sina", "Security"],
      ["Doro", "Docs"],
      ["Pia", "PO"],
    ];
    for (const [name, role] of invited) {
      const link = await people.invite(person("Ada"), name, [role]);
      if (name === "Dana") await shots(person("Ada").page, "people-link");
      const joined = await people.join(link, name);
      await joined.page.goto("about:blank");
      who[name] = joined;
    }
    await person("Ada").page.goto("/people");
    for (const [name] of invited) await expect(person("Ada").page.locator("main")).toContainText(name);
    await shots(person("Ada").page, "people");
  });

  await part("the board is empty, says No-Go, and offers the first step and the first deploy", async () => {
    const page = person("Dana").page;
    await page.goto("/");
    await expect(page.getByRole("heading", { name: "No-Go" })).toBeVisible();
    await expect(page.locator("ol.gates > li")).toHaveCount(8);
    const next = page.locator('[data-live="next"]');
    await expect(next).toContainText("A.s1");
    await expect(next.getByRole("button", { name: "Run" })).toBeEnabled();
    await expect(next.locator("summary", { hasText: `Deploy ${firstCommit}` })).toBeVisible();
    // The admin alone may not run anything, and is told so.
    await person("Ada").page.goto("/");
    const refused = person("Ada").page.locator('[data-live="next"]').getByRole("button", { name: "Run" });
    await expect(refused).toBeDisabled();
    await expect(person("Ada").page.locator('[data-live="next"] .offer__why').first()).not.toBeEmpty();
  });

  await part("gate A is run from the page, and its log is live for everybody", async () => {
    const devops = person("Dana").page;
    await runStep(devops, "A.s1", "Passed", 3 * minute);
    await runStep(devops, "A.s2");
    await runStep(devops, "A.s3");
    await runCheck(devops, "A", "clean-tree");

    const qa = person("Quinn").page;
    const run = await startStep(qa, "A.s4");
    await expect(runState(qa)).toHaveText("Running");
    await expect(logLines(qa).first()).toBeVisible({ timeout: minute });
    await shots(qa, "run-live");
    const early = await logLines(qa).count();
    // A second viewer comes late and sees it from the first line.
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
    // The command ends with 3: it could not ask.
    await runStep(devops, "A.s7", "Inconclusive");
    await expect(devops.locator('[data-live="run-outcome"]')).toContainText("Inconclusive");
  });

  await part("what could not be asked is not passed: Security waives it with a reason and a day", async () => {
    const page = person("Sina").page;
    await page.goto("/gates/A");
    await expect(byId(page, "A.1").locator(".badge").first()).toHaveText("Proved");
    await expect(byId(page, "A.2").locator(".badge").first()).toHaveText("Proved");
    await expect(byId(page, "A.3")).toContainText("Inconclusive");
    await expect(byId(page, "A.3").locator(".badge").first()).toHaveText("Open");
    await shots(page, "gate-A-open");
    await waive(person("Sina"), "A.3", "The registry gives no audit here; the lock file was read by hand", dayFromNow(7));
    await shots(page, "gate-A-waived");
  });

  await part("gate B: what can be seen already is, and people attest what no machine sees", async () => {
    const page = person("Dana").page;
    await runStep(page, "B.s1");
    await runStep(page, "B.s2");
    await runStep(page, "B.s3");
    await runStep(page, "B.s4");
    // Nothing runs yet, so the proxy cannot be asked.
    await runAll(page, "B", "Inconclusive");
    await attest(person("Dana"), "B.1", "Signed in over SSH with the staging key", "https://wiki.example.org/staging");
    await expect(byId(page, "B.1").locator(".badge").first()).toHaveText("Proved");
    await shots(page, "gate-B");
  });

  await part("gate C: a secrets file that everybody can read is found, corrected by its step, and checked again", async () => {
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

  await part("v1 is deployed from the page, service by service", async () => {
    const page = person("Dana").page;
    await startDeploy(page);
    const progress = page.locator('[data-live="run-progress"]');
    await expect(progress).toContainText("backend", { timeout: 2 * minute });
    await shots(page, "deploy-running");
    // Nobody else deploys meanwhile, and the page says who holds the stack.
    const other = person("Bela").page;
    await other.goto("/");
    await expect(other.locator('[data-live="running"]')).toContainText("Deploy");
    await expect(other.locator('[data-live="release"]')).toContainText("Dana holds the stack");
    await runEnds(page, "Passed", 4 * minute);
    await shots(page, "deploy-done");
    expect(await example.version()).toBe("1.0.0");
    await page.goto("/");
    await expect(page.locator('[data-live="services"] .badge', { hasText: "healthy" })).toHaveCount(7);
    await shots(page, "board-deployed");
  });

  await part("gate B again: the proxy answers with its certificate, and data stores stay inside", async () => {
    const page = person("Dana").page;
    await runAll(page, "B");
    await page.goto("/gates/B");
    await expect(byId(page, "B.2").locator(".badge").first()).toHaveText("Proved");
  });

  await part("B cannot be accepted before A, neither from the page nor past it", async () => {
    const page = person("Dana").page;
    await page.goto("/gates/B");
    const button = page.locator('[data-live="accept-form"] button').first();
    await expect(button).toBeDisabled();
    await expect(page.locator('[data-live="accept-form"]')).toContainText("waiting for A");
    const fields = { gate: "B", digest: "0".repeat(64), note: "forged", key: "forged-1", back: "/gates/B", form: "accept_gate:B" };
    const ours = { Origin: server.base, Accept: "text/html" };
    const forged = await page.request.post("/api/accept_gate", { form: fields, headers: ours });
    expect(await forged.text()).toContain("waiting for A");
    const foreign = await page.request.post("/api/accept_gate", { form: fields, headers: { Origin: "http://evil.example" } });
    expect(foreign.status()).toBe(403);
    await page.goto("/gates/B");
    await expect(page.locator('[data-live="accept-state"]')).not.toHaveText("Accepted");
  });

  await part("gate D: data, backup and a restore that was tried", async () => {
    const page = person("Bela").page;
    for (const step of ["D.s2", "D.s3", "D.s4", "D.s5", "D.s6"]) await runStep(page, step);
    await runAll(page, "D", "Passed", 4 * minute);
    await page.goto("/gates/D");
    await expect(byId(page, "D.1").locator(".badge").first()).toHaveText("Proved");
    await expect(byId(page, "D.2").locator(".badge").first()).toHaveText("Proved");
    await expect(byId(page, "step-D.s1")).toContainText("Deploy does it");
    await shots(page, "gate-D");
  });

  await part("gates E and F are checked; the audit that cannot be asked is waived again", async () => {
    await runAll(person("Dana").page, "E", "Passed", 5 * minute);
    const page = person("Quinn").page;
    for (const step of ["F.s1", "F.s2", "F.s3"]) await runStep(page, step);
    const masked = await (await page.request.get(`/runs/${runNumber(page) - 1}/log`)).text();
    expect(masked).not.toContain(example.secret("METRICS_TOKEN"));
    await runAll(page, "F", "Inconclusive", 8 * minute);
    await shots(page, "run-checks");
    await page.goto("/gates/F");
    await expect(byId(page, "F.1").locator(".badge").first()).toHaveText("Proved");
    await expect(byId(page, "F.2").locator(".badge").first()).toHaveText("Proved");
    await waive(person("Sina"), "F.3", "No audit can be asked here; metrics, CORS and limits were proved", dayFromNow(7));
    await shots(person("Sina").page, "gate-F");
  });

  // Before the gates are accepted: a check that could not tell once more is news, and what was accepted did not know it.
  await part("the matrix runs all of its rows", async () => {
    const page = person("Quinn").page;
    await runAll(page, "matrix", "Inconclusive", 8 * minute);
    await page.goto("/matrix");
    await expect(page.locator('[data-live="matrix-state"]')).toContainText("5 of 6 rows hold");
    await shots(page, "matrix");
  });

  await part("the gates are accepted in order, each by an owner", async () => {
    await accept(person("Bela"), "A", "Green on this commit, audit waived");
    await accept(person("Dana"), "B", "Host is ready");
    await accept(person("Sina"), "C", "Secrets are in place");
    await accept(person("Bela"), "D", "Backup restored and compared");
    await accept(person("Dana"), "E", "Seven services healthy");
    await accept(person("Quinn"), "F", "Everything but the audit was proved");
    await expect(notice(person("Quinn").page)).toContainText("rollback point");
    await runAll(person("Dana").page, "G", "Passed", 4 * minute);
    await attest(person("Dana"), "G.1", "Dashboards show fresh data, the test alert came through", "https://grafana.example.org/d/staging");
    await accept(person("Dana"), "G", "Dashboards and alerts seen");
    await shots(person("Dana").page, "gate-G-accepted");
  });

  await part("the ownership log is filled, and exported as the runbook's own section", async () => {
    const page = person("Dana").page;
    const fill = async (field: string, value: string) => {
      await page.goto("/ownership");
      const line = byId(page, field);
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
      await byId(page, field).getByRole("button", { name: "Take over" }).click();
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
    const { readFileSync } = await import("node:fs");
    const markdown = readFileSync(path, "utf8");
    expect(markdown).toContain("## Ownership Log");
    expect(markdown).toContain(`Staging VM provisioned by: Dana  on: ${dayFromNow(0)}`);
    expect(markdown).toContain(`First deploy commit: ${firstCommit}`);
    expect(markdown).toContain("Rollback drill date: ____");
  });

  await part("the checklist: attested, proved, and one waived by the Product Owner", async () => {
    await runCheck(person("Dana").page, "H", "json-lines");
    await attest(person("Sina"), "H.c4", "The vault entry was compared with the file");
    await attest(person("Quinn"), "H.c5", "Alerts reach the channel, logs reach the collector");
    await runCheck(person("Dana").page, "H", "two-ways-back", "Failed");
    await waive(person("Pia"), "H.c6", "The first release here: there is only one to go back to", dayFromNow(14));
    await shots(person("Pia").page, "gate-H");
  });

  await part("six people sign Go on their phones, each with the password again", async () => {
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
      const comment = `Looked at it as ${role}`;
      if (name === "Bela") {
        await hand.page.goto("/sign-offs");
        await shots(hand.page, "sign-offs-before");
        await sign(hand, role, comment, "not the password");
        await expect(notice(hand.page)).toBeVisible({ timeout: 20_000 });
        const card = byId(hand.page, `sign-${role}`);
        await expect(card.locator("[name=comment]")).toHaveValue(comment);
        await expect(card.getByRole("radio", { name: /^Go/ })).toBeChecked();
        await shots(hand.page, "sign-offs-wrong-password");
        // A refused password makes the next try wait a moment.
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

  await part("the verdict is Go, and the Product Owner records it", async () => {
    const page = person("Pia").page;
    await page.goto("/");
    await expect(page.getByRole("heading", { name: /^Go/ })).toContainText(/waiver/i);
    await page.goto("/sign-offs");
    const card = byId(page, "decision");
    await card.locator("summary").click();
    await card.getByRole("radio", { name: /^Go/ }).check();
    await card.locator("[name=note]").fill("Ready for staging");
    await card.locator("[name=password]").fill(person("Pia").password);
    await card.getByRole("button", { name: "Record the decision" }).click();
    await expect(notice(page)).toContainText("Go is recorded", { timeout: 20_000 });
    await shots(page, "board-go");
  });

  await part("the activity shows all of it, and the chain is whole", async () => {
    const page = person("Doro").page;
    const told: string[] = [];
    await page.goto("/activity");
    await shots(page, "activity");
    for (let pages = 0; pages < 20; pages++) {
      told.push(await page.locator("main").innerText());
      const older = page.getByRole("link", { name: "Older" });
      if ((await older.count()) === 0) break;
      const before = page.url();
      await older.click();
      // A click does not wait for the page that it asks for.
      await page.waitForURL((url) => url.href !== before);
    }
    const all = told.join("\n");
    for (const act of ["link.use", "person.invite", "step.run", "gate.run", "item.waive", "item.attest", "gate.accept",
      "deploy.start", "release.sign", "release.decide"]) {
      expect.soft(all, `the activity names ${act}`).toContain(act);
    }
    expect(all).toContain("Refused");
    const verified = server.command("verify");
    expect(verified.said).toContain("whole");
    expect(verified.code).toBe(0);
  });

  await test.step("no page complained", () => {
    expect(complaints.heard).toEqual([]);
  });
});

function lineWith(page: Person["page"], text: string) {
  return page.locator(".log-t:visible", { hasText: text }).first();
}
