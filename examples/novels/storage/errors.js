/** kind: missing (a parent row), duplicate, invalid, unavailable (try again later). */
export class StorageError extends Error {
  constructor(kind, cause) {
    super(cause.message, { cause });
    this.kind = kind;
  }
}
