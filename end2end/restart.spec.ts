// The server is killed while a command runs: the command continues, and its output and outcome are kept.
import { expect, test } from "@playwright/test";
import { logLines, runEnds, startStep } from "./support/acts.ts";
import { Complaints } from "./support/complaints.ts";
import { People } from "./support/people.ts";
import { Small } from "./support/small.ts";

const minute = 60_000;

let small: Small | undefined;

test.beforeAll(async () => {
  small = await Small.start("restart");
});

test.afterAll(async () => {
  await small?.remove();
});

test("no line and no outcome is lost when the server is killed", async ({ browser }) => {
  const { server } = small!;
  const complaints = new Complaints();
  const people = new People(browser, server, complaints);
  const admin = await people.admin("Ada");
  const { page } = await people.join(await people.invite(admin, "Dana", ["DevOps"]), "Dana");
  const run = await startStep(page, "A.s3");
  await expect(logLines(page).first()).toBeVisible({ timeout: minute });
  await complaints.ignoring(async () => {
    await server.end("SIGKILL");
    expect(await server.answers()).toBe(false);
    await new Promise((done) => setTimeout(done, 1_500));
    await server.again();
    await page.goto(`/runs/${run}`);
  });
  await runEnds(page, "Passed");
  const log = await (await page.request.get(`/runs/${run}/log`)).text();
  for (let n = 1; n <= 8; n++) expect(log).toContain(`line ${n}\n`);
  expect(server.command("verify").said).toContain("intact");
  expect(complaints.heard).toEqual([]);
});
