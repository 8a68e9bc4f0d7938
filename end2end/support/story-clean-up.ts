// Set-up and clean-up for all tests. The chapters of the story share a server that outlives the test processes, so the
// main process removes it.
import { prepareStories, removeStory } from "./story.ts";

export default async function setUp(): Promise<() => Promise<void>> {
  await prepareStories();
  return () => removeStory();
}
