// Actions of people on the pages. Each returns when the page shows the result.
import { expect, type Locator, type Page, test } from "@playwright/test";
import { form, type Person } from "./people.ts";

const minute = 60_000;

export type Outcome = "Passed" | "Failed" | "Inconclusive" | "Cancelled" | "Interrupted";

/** Whether this is the second attempt of a failed test: parts of it may be done already. */
export function repeated(): boolean {
  return test.info().retry > 0;
}

/** Whether the first attempt has already done this, so that the page no longer shows the control. */
async function doneBefore(offer: Locator): Promise<boolean> {
  return repeated() && (await offer.count()) === 0;
}

/** An element by its id; the ids of the runbook contain dots. */
export function byId(page: Page, id: string): Locator {
  return page.locator(`[id="${id}"]`);
}

/** The message about the last action. */
export function notice(page: Page): Locator {
  return page.locator("#notice");
}

/** The state of the run on this page. */
export function runState(page: Page): Locator {
  return page.locator('[data-live="run-state"] .badge');
}

/** The visible lines of the log, in the static tail or in the terminal. */
export function logLines(page: Page): Locator {
  return page.locator(".log-line:visible");
}

/** Waits until the page shows the end of its run, without a reload. */
export async function runEnds(page: Page, outcome: Outcome, within = 2 * minute): Promise<number> {
  await expect(runState(page)).not.toHaveText("Running", { timeout: within });
  await expect(runState(page)).toHaveText(outcome);
  return runNumber(page);
}

export function runNumber(page: Page): number {
  return Number(/\/runs\/(\d+)/.exec(page.url())?.[1]);
}

/** Presses Run on a step and waits for the run's page. */
export async function startStep(page: Page, step: string): Promise<number> {
  const gate = step.split(".")[0]!;
  await page.goto(`/gates/${gate}`);
  await byId(page, `step-${step}`).getByRole("button", { name: /^Run/ }).click();
  await page.waitForURL(/\/runs\/\d+/);
  return runNumber(page);
}

export async function runStep(page: Page, step: string, outcome: Outcome = "Passed", within = 2 * minute): Promise<number> {
  await startStep(page, step);
  return runEnds(page, outcome, within);
}

/** Runs every check of a gate, or of the `matrix`. */
export async function runAll(page: Page, gate: string, outcome: Outcome = "Passed", within = 3 * minute): Promise<number> {
  await page.goto(gate === "matrix" ? "/matrix" : `/gates/${gate}`);
  await page.getByRole("button", { name: "Run all checks" }).click();
  await page.waitForURL(/\/runs\/\d+/);
  return runEnds(page, outcome, within);
}

export async function runCheck(page: Page, gate: string, check: string, outcome: Outcome = "Passed"): Promise<number> {
  await page.goto(`/gates/${gate}`);
  const card = page.locator(".check-card").filter({ has: page.getByText(check, { exact: true }) }).first();
  await card.getByRole("button", { name: /Run check|Run again/ }).click();
  await page.waitForURL(/\/runs\/\d+/);
  return runEnds(page, outcome);
}

function item(page: Page, id: string): Locator {
  return byId(page, id);
}

export async function attest(person: Person, id: string, note: string, link = ""): Promise<void> {
  const page = person.page;
  await page.goto(`/gates/${id.split(".")[0]!}`);
  const summary = item(page, id).locator("summary", { hasText: /\bAttest\b/ });
  if (!(await doneBefore(summary))) {
    await summary.click();
    const panel = form(page, "attest", `[id="${id}"]`);
    await panel.locator("[name=note]").fill(note);
    if (link) await panel.locator("[name=link]").fill(link);
    await panel.getByRole("button").click();
  }
  await expect(item(page, id)).toContainText(note);
  await expect(item(page, id)).toContainText(`Attested by ${person.name}`);
}

/** Waives a criterion until a day. */
export async function waive(person: Person, id: string, reason: string, until: string): Promise<void> {
  const page = person.page;
  await page.goto(`/gates/${id.split(".")[0]!}`);
  const summary = item(page, id).locator("summary", { hasText: "Waive" });
  if (!(await doneBefore(summary))) {
    await summary.click();
    const panel = form(page, "waive", `[id="${id}"]`);
    await panel.locator("[name=reason]").fill(reason);
    await panel.locator("[name=until]").fill(until);
    await panel.locator("[name=password]").fill(person.password);
    await panel.getByRole("button").click();
    await expect(notice(page)).toBeVisible();
    await page.goto(`/gates/${id.split(".")[0]!}`);
  }
  await expect(item(page, id)).toContainText(reason);
  await expect(item(page, id)).toContainText(`Waived by ${person.name}`);
}

export async function accept(person: Person, gate: string, note: string): Promise<void> {
  const page = person.page;
  await page.goto(`/gates/${gate}`);
  const summary = page.locator("summary", { hasText: `Accept gate ${gate}` });
  if (!(await doneBefore(summary))) {
    await summary.click();
    const panel = form(page, "accept_gate");
    await panel.locator("[name=note]").fill(note);
    await panel.getByRole("button").click();
    await expect(notice(page)).toContainText(`Gate ${gate} is accepted`);
  }
  await expect(page.locator('[data-live="accept-state"]')).toHaveText("Accepted");
}

/** Signs Go for a role, with a comment and the password. */
export async function sign(person: Person, role: string, comment: string, password = person.password): Promise<void> {
  const page = person.page;
  await page.goto("/sign-offs");
  const card = byId(page, `sign-${role}`);
  await card.locator("summary").click();
  await fillSignature(card, comment, password);
}

export async function fillSignature(card: Locator, comment: string, password: string): Promise<void> {
  await card.getByRole("radio", { name: /^Go/ }).check();
  await card.locator("[name=comment]").fill(comment);
  await card.locator("[name=password]").fill(password);
  await card.getByRole("button", { name: /^Sign off as/ }).click();
}

/** Deploys and waits for the run's page. If the page does not show a recent change yet, the deploy is refused, and the
 * updated page is confirmed. */
export async function startDeploy(page: Page): Promise<number> {
  await page.goto("/");
  await page.locator("summary", { hasText: /^Deploy / }).first().click();
  for (let tries = 0; tries < 3; tries++) {
    await page.getByRole("button", { name: /^Yes, deploy/ }).first().click();
    await page.waitForLoadState();
    if (!(await page.getByText("since this page was shown").first().isVisible())) break;
  }
  await page.waitForURL(/\/runs\/\d+/);
  return runNumber(page);
}

/** The date in so many days, in the format of forms. */
export function dayFromNow(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
}
