//! Makes cargo rebuild when migrations change. A macro embeds them in the program, which cargo does not track.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
