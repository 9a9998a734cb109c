// Hooks for React. React is passed in, so that this package depends on none: `createHooks(React)`.

import type { Client } from "./client.js";
import type { LiveTopic, TopicState } from "./live.js";
import type { Item } from "./protocol.js";
import type { Readable } from "./readable.js";
import type { Topic } from "./topics.js";

interface ReactLike {
  useSyncExternalStore<T>(subscribe: (changed: () => void) => () => void, get: () => T, getOnServer?: () => T): T;
}

export interface Hooks {
  /** The value of a store, the connection say; the component is rendered again with each new one. */
  useReadable<T>(readable: Readable<T>): T;
  /** A topic that lives while the component is mounted. */
  useTopic<T extends Item>(client: Client, topic: Topic<T>): TopicState<T> & Pick<LiveTopic<T>, "overlay">;
}

export function createHooks({ useSyncExternalStore }: ReactLike): Hooks {
  const useReadable = <T>({ subscribe, get }: Readable<T>): T => useSyncExternalStore(subscribe, get, get);
  return {
    useReadable,
    useTopic: (client, topic) => {
      const live = client.topic(topic);
      return { ...useReadable(live), overlay: live.overlay };
    },
  };
}
