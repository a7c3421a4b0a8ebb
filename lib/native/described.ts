// What the addon reports about the machine: interfaces, routes, devices, limits.

/** A network interface. */
export interface NativeInterface {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** ARPHRD_… */
  readonly type: number;
  readonly address: Buffer;
}

/** The route to an address. */
export interface NativeRoute {
  /** Index of the interface. */
  readonly device: number;
  /** RTN_… */
  readonly type: number;
  /** Of the path, where the route knows it; 0: the device's. */
  readonly mtu: number;
  /** A packet does not leave as it is: encapsulated, or to a gateway of the other family. */
  readonly rewrites: boolean;
  readonly source?: Buffer;
  readonly gateway?: Buffer;
}

/** What the kernel knows of a host on the same link. */
export interface NativeNeighbour {
  /** NUD_… */
  readonly state: number;
  /** The link address; empty: not known. */
  readonly address: Buffer;
}

/** What a network interface is. */
export interface NativeDevice {
  readonly index: number;
  readonly name: string;
  /** ARPHRD_… */
  readonly type: number;
  readonly mtu: number;
  readonly isUp: boolean;
  /** As `ip -d link` names it: 'veth', 'bridge' …; empty for hardware and for loopback. */
  readonly kind: string;
  /** Empty where the device does not say. */
  readonly driver: string;
  /** Index of the interface that this one lies on; 0: none in this namespace. */
  readonly lower: number;
}

/** Features by the names of `ethtool --show-features`. */
export type NativeFeatures = Readonly<
  Record<string, { readonly active: boolean; readonly changeable: boolean }>
>;

export interface NativeDescription {
  /** Soft RLIMIT_MEMLOCK in bytes; -1 when unlimited. */
  readonly memlockBytes: number;
  readonly ipcLock: boolean;
  /** Bytes of a page of memory: 4 KiB, and 16 or 64 KiB on some ARM and POWER machines. */
  readonly pageBytes: number;
  readonly openPorts: number;
  /** Of this environment's pools. */
  readonly registeredBytes: number;
  readonly kernelRelease: string;
}
