/** That of package.json; `npm version` writes it. An addon of another version is not used. */
export const VERSION = '0.2.0';
