//! Tells cargo of the migrations: a macro embeds them in the program, which cargo does not see.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
