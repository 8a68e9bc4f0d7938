// Stops an image build whose `dist` is missing or was made from other sources: node scripts/verify-dist.mjs <part>
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { distProblem } from "./lib/digest.mjs";

const problem = distProblem(join(dirname(fileURLToPath(import.meta.url)), ".."), process.argv[2] ?? "");
if (problem !== undefined) {
  console.error(problem);
  process.exit(1);
}
