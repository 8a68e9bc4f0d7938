// Says once more, after everything else, what failed: a log that is cut keeps its end.
import type { FullConfig, Reporter, Suite, TestCase, TestResult, TestStep } from "@playwright/test/reporter";

const LINES = 12;

export default class LastWords implements Reporter {
  private readonly failed: { test: TestCase; result: TestResult }[] = [];
  private general: string[] = [];

  onBegin(_config: FullConfig, _suite: Suite): void {
    this.failed.length = 0;
  }

  onError(error: { message?: string }): void {
    this.general.push(...firstLines(error.message));
  }

  onTestEnd(test: TestCase, result: TestResult): void {
    if (result.status !== test.expectedStatus && result.status !== "skipped") this.failed.push({ test, result });
  }

  onEnd(): void {
    const lines = this.general.map((line) => `    ${line}`);
    for (const { test, result } of this.failed) {
      const steps = stepsTo(result.steps).map((step) => step.title);
      lines.push(`  ${test.title}: ${result.status}`, ...steps.map((title) => `    in: ${title}`));
      for (const error of result.errors) {
        const place = error.location ? `${error.location.file.split("/").pop()}:${error.location.line}` : "no place";
        lines.push(`    at ${place}`, ...firstLines(error.message).map((line) => `      ${line}`));
      }
    }
    if (lines.length > 0) console.log(`\nWhat failed, in short:\n${lines.join("\n")}`);
  }
}

/** The steps that hold the first failed one, from the outermost in. */
function stepsTo(steps: TestStep[]): TestStep[] {
  const step = steps.find((each) => each.error && each.category === "test.step");
  return step ? [step, ...stepsTo(step.steps)] : [];
}

/** The first lines of a message, without the colours that a terminal would show. */
function firstLines(message = ""): string[] {
  const lines = message.replace(/\u001b\[[0-9;]*m/g, "").split("\n").filter((line) => line.trim() !== "");
  return lines.slice(0, LINES).map((line) => line.slice(0, 200));
}
