// A copy of the bundled example, with a server of its own that judges it.
import { Example } from "./example.ts";
import { removeFolder, temporaryFolder } from "./files.ts";
import { Stagegate } from "./stagegate.ts";

export class Served {
  private constructor(
    readonly example: Example,
    readonly server: Stagegate,
    /** Where the server keeps its state. */
    readonly data: string,
  ) {}

  /** `name` names the server's log; `prepare` changes the copy before the server starts. */
  static async start(name: string, prepare: (example: Example, data: string) => void = () => {}): Promise<Served> {
    const example = await Example.copy();
    const data = temporaryFolder("data");
    prepare(example, data);
    return new Served(example, await Stagegate.serve(example.config, data, name), data);
  }

  /** Ends the server and removes whatever it and the stack left. */
  async remove(): Promise<void> {
    await this.server.stop();
    this.example.remove();
    removeFolder(this.data);
  }
}
