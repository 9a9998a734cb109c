// How many requests wait for an answer, as the page of requests last counted them: its title says so.
class Waiting {
  count = $state(0);

  /** `(3) Solicitudes` */
  counted(text: string): string {
    return this.count > 0 ? `(${this.count}) ${text}` : text;
  }
}

export const waiting = new Waiting();
