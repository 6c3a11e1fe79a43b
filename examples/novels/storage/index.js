/**
 * A provider has, all async:
 *   all(sql, params) -> rows      get(sql, params) -> first row or undefined
 *   run(sql, params) -> { changes }   exec(sql)   transaction(fn(tx))   close()
 * Parameters are named in both dialects: `@name` in the SQL, { name } in params.
 * `dialect` holds what the two databases spell differently.
 */
export async function openStorage(env = process.env) {
  const name = env.DB_PROVIDER || 'sqlite';
  if (name !== 'sqlite' && name !== 'postgres') {
    throw new Error(`DB_PROVIDER must be sqlite or postgres, not ${name}`);
  }
  // Loaded on demand: each deployment needs only its own driver.
  const { open } = await import(`./${name}.js`);
  return open(env);
}
