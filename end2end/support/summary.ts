// Prints at the end which tests failed, which were skipped because of that, and which passed only when repeated. A log
// that is cut off usually keeps its end.
import type { FullConfig, Reporter, Suite, TestCase, TestResult, TestStep } from "@playwright/test/reporter";

const LINES = 12;

export default class Summary implements Reporter {
  private suite: Suite | undefined;
  private general: string[] = [];

  onBegin(_config: FullConfig, suite: Suite): void {
    this.suite = suite;
  }

  onError(error: { message?: string }): void {
    this.general.push(...firstLines(error.message));
  }

  onEnd(): void {
    const tests = this.suite?.allTests() ?? [];
    const failed = tests.filter((test) => test.outcome() === "unexpected").flatMap((test) => failureOf(test));
    const flaky = tests.filter((test) => test.outcome() === "flaky").flatMap((test) => failureOf(test));
    const listed = tests.every((test) => test.results.length === 0);
    const skipped = tests.filter((test) => !listed && test.outcome() === "skipped").map((test) => notRun(test));
    const general = this.general.map((line) => `    ${line}`);
    if (flaky.length > 0) console.log(`\nFlaky (failed, then passed when repeated):\n${flaky.join("\n")}`);
    if (skipped.length > 0) console.log(`\nNot run:\n${skipped.join("\n")}`);
    if (failed.length + general.length > 0) console.log(`\nFailed:\n${[...general, ...failed].join("\n")}`);
  }
}

/** A skipped test with the reason. */
function notRun(test: TestCase): string {
  const annotations = test.results.flatMap((result) => result.annotations);
  const why = annotations.find((each) => each.type === "skip")?.description;
  return `  ${test.title}${why ? `: ${why}` : ""}`;
}

/** The place and message of the first failure of a test. */
function failureOf(test: TestCase): string[] {
  const result: TestResult | undefined = test.results.find((each) => each.status !== test.expectedStatus);
  if (!result) return [`  ${test.title}`];
  const lines = [`  ${test.title}: ${result.status}`, ...stepsTo(result.steps).map((step) => `    in: ${step.title}`)];
  for (const error of result.errors) {
    const place = error.location ? `${error.location.file.split("/").pop()}:${error.location.line}` : "no place";
    lines.push(`    at ${place}`, ...firstLines(error.message).map((line) => `      ${line}`));
  }
  return lines;
}

/** The steps that contain the first failed one, outermost first. */
function stepsTo(steps: TestStep[]): TestStep[] {
  const step = steps.find((each) => each.error && each.category === "test.step");
  return step ? [step, ...stepsTo(step.steps)] : [];
}

/** The first lines of a message, without terminal colours. */
function firstLines(message = ""): string[] {
  const lines = message.replace(/\u001b\[[0-9;]*m/g, "").split("\n").filter((line) => line.trim() !== "");
  return lines.slice(0, LINES).map((line) => line.slice(0, 200));
}
