// Makes an alert fire in this stack's Prometheus, and ends it: node scripts/alert-on-purpose.mjs <fire|clear>
// The rule stays, with a condition that never holds: a rule that vanishes would leave its alert open for minutes.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { composeText } from "./lib/compose.mjs";
import { root } from "./lib/env.mjs";

const expressions = { fire: "vector(1)", clear: "vector(1) > 1" };
const expr = expressions[process.argv[2]];
if (expr === undefined) {
  console.error("usage: alert-on-purpose.mjs <fire|clear>");
  process.exit(2);
}
const rule = { alert: "MadeOnPurpose", expr, labels: { severity: "info" }, annotations: { summary: "made on purpose, to see it arrive" } };
writeFileSync(join(root, "monitoring", "on-purpose.yml"), `${JSON.stringify({ groups: [{ name: "on-purpose", rules: [rule] }] }, null, 2)}\n`);
composeText("kill", "--signal", "HUP", "prometheus");
console.log(`alert-on-purpose: ${process.argv[2]}`);
