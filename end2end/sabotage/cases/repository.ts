// Faults of sources, tests and builds, before the first deploy.
import { appendFileSync } from "node:fs";
import type { Case } from "../case.ts";

const script = (name: string, command: string) => ({ from: new RegExp(`"${name}": ".*"`), to: `"${name}": ${JSON.stringify(command)}` });

export const repository: Case[] = [
  {
    name: "lint-error",
    what: "a debugger statement is committed",
    needs: "files",
    breaks: ["A.1"],
    says: /static \(fail\)/,
    apply: (stage) => {
      stage.write("shared/src/left.ts", "debugger;\nexport {};\n");
      stage.commit("Leave a debugger in");
    },
  },
  {
    name: "type-error",
    what: "a text where a number is declared",
    needs: "files",
    breaks: ["A.1"],
    says: /static|build/,
    apply: (stage) => {
      stage.write("backend/src/platform/left.ts", 'export const limit: number = "many";\n');
      stage.commit("Mix up types");
    },
  },
  {
    name: "test-fails",
    what: "one unit test fails",
    needs: "files",
    breaks: ["A.1", "F.1", "H.c2"],
    says: /coverage \(fail\)/,
    apply: (stage) => {
      stage.write("shared/test/left.test.ts", 'import { expect, test } from "vitest";\ntest("is wrong", () => expect(1).toBe(2));\n');
      stage.commit("Break a test");
    },
  },
  {
    name: "coverage-64-9",
    what: "coverage is at 64.9 %, a tenth below the limit",
    needs: "files",
    breaks: ["A.1", "F.1", "H.c2"],
    says: /64\.9/,
    apply: (stage) => {
      const at = "const f='coverage/coverage-summary.json',c=JSON.parse(fs.readFileSync(f));c.total.lines={total:1000,covered:649,skipped:0,pct:64.9};fs.writeFileSync(f,JSON.stringify(c))";
      const { from, to } = script("test:ci", `node scripts/fresh.mjs coverage/coverage-summary.json && vitest run --coverage && node -e "${at}"`);
      stage.edit("package.json", from, to);
      stage.commit("Cover less");
    },
  },
  {
    name: "coverage-65-0",
    what: "coverage is at 65.0 %, exactly the threshold: nothing may change",
    needs: "files",
    breaks: [],
    apply: (stage) => {
      const at = "const f='coverage/coverage-summary.json',c=JSON.parse(fs.readFileSync(f));c.total.lines={total:1000,covered:650,skipped:0,pct:65};fs.writeFileSync(f,JSON.stringify(c))";
      const { from, to } = script("test:ci", `node scripts/fresh.mjs coverage/coverage-summary.json && vitest run --coverage && node -e "${at}"`);
      stage.edit("package.json", from, to);
      stage.commit("Cover just enough");
    },
  },
  {
    name: "report-left-over",
    what: "tests run without coverage, and the report of an earlier run is left",
    needs: "files",
    breaks: ["A.1", "F.1", "H.c2"],
    says: /coverage-summary\.json.*(not written|older|before)/,
    apply: (stage) => {
      const { from, to } = script("test:ci", "vitest run");
      stage.edit("package.json", from, to);
      stage.commit("Save the time that coverage takes");
    },
  },
  {
    name: "tests-ran-nothing",
    what: "the test runner finds no test and exits 0",
    needs: "files",
    breaks: ["A.1", "F.1", "H.c2"],
    says: /coverage \((fail|inconclusive)\)/,
    apply: (stage) => {
      const { from, to } = script("test:ci", "node scripts/fresh.mjs coverage/coverage-summary.json && vitest run --coverage --passWithNoTests no-such-test");
      stage.edit("package.json", from, to);
      stage.commit("Look for tests in the wrong place");
    },
  },
  {
    name: "build-of-other-sources",
    what: "the build does nothing, and its output is from older sources",
    needs: "files",
    breaks: ["A.1"],
    says: /build \(fail\)/,
    apply: (stage) => {
      const { from, to } = script("build", "echo built");
      stage.edit("package.json", from, to);
      stage.write("backend/src/platform/left.ts", "export const unused = true;\n");
      stage.commit("Build nothing");
    },
    undo: (stage) => void stage.example.node("scripts/build.mjs"),
  },
  {
    name: "migration-edited",
    what: "a migration that was recorded is edited",
    needs: "files",
    breaks: ["A.2"],
    says: /migrations-clean \(fail\)/,
    apply: (stage) => {
      appendFileSync(stage.path("backend/migrations/20260105090500_create_accounts.mjs"), "\n// one more thing\n");
      stage.commit("Touch a migration");
    },
  },
  {
    name: "vulnerability-high",
    what: "the audit names one High vulnerability",
    needs: "files",
    breaks: ["A.3"],
    says: /1/,
    checks: ["no-high", "no-critical"],
    apply: (stage) => void stage.audit({ high: 1 }),
    undo: (stage) => void stage.audit({}),
  },
  {
    name: "vulnerability-critical",
    what: "the audit names one Critical vulnerability",
    needs: "files",
    breaks: ["A.3", "F.3"],
    says: /1/,
    checks: ["no-high", "no-critical"],
    apply: (stage) => void stage.audit({ critical: 1 }),
    undo: (stage) => void stage.audit({}),
  },
  {
    name: "audit-unanswered",
    what: "the registry answers 405 instead of an audit",
    needs: "files",
    breaks: ["A.3", "F.3"],
    says: /inconclusive/,
    checks: ["no-high", "no-critical"],
    apply: (stage) => stage.unanswered(),
    undo: (stage) => void stage.audit({}),
  },
  {
    name: "dirty-tree",
    what: "a tracked file is changed and not committed",
    needs: "stack",
    breaks: ["A.1", "H.c2"],
    says: /README\.md/,
    apply: (stage) => stage.edit("README.md", "# MediaNest", "# MediaNest, changed"),
  },
  {
    name: "step-without-script",
    what: "a script that the runbook calls is missing in package.json",
    needs: "stack",
    breaks: [],
    preflight: ["F"],
    says: /load-test:light/,
    apply: (stage) => {
      stage.edit("package.json", /\n\s*"load-test:light": ".*",/, "");
      stage.commit("Tidy the scripts");
    },
  },
];
