//! A name server on this machine, with the TXT records that tests set. It serves the tests of this process, and the servers
//! that these start.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::{LazyLock, Mutex},
};

/// The type of TXT records (RFC 1035, 3.2.2), and the class of the Internet.
const TXT_IN: [u8; 4] = [0, 16, 0, 1];

/// What the server does with a question for a name.
#[derive(Debug, Clone)]
enum Entry {
    Texts(Vec<String>),
    /// It answers with the failure of a name server.
    Failure,
    /// It answers nothing.
    Silence,
}

static ENTRIES: LazyLock<Mutex<HashMap<String, Entry>>> = LazyLock::new(Mutex::default);

static ADDRESS: LazyLock<SocketAddr> = LazyLock::new(|| {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // A thread: the runtime of one test ends before the other tests of this process.
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length]) {
                socket.send_to(&answer, from).expect("an answer");
            }
        }
    });
    address
});

/// Returns the address of the server, as in `DNS_SERVERS`.
pub(crate) fn address() -> String {
    ADDRESS.to_string()
}

fn set(name: &str, entry: Entry) {
    ENTRIES.lock().expect("the entries").insert(name.to_ascii_lowercase(), entry);
}

/// Sets the TXT records of a name.
pub(crate) fn set_texts<T: Into<String>>(name: &str, texts: impl IntoIterator<Item = T>) {
    set(name, Entry::Texts(texts.into_iter().map(Into::into).collect()));
}

/// Makes the server fail for a name.
pub(crate) fn fail(name: &str) {
    set(name, Entry::Failure);
}

/// Makes the server ignore questions for a name.
pub(crate) fn silence(name: &str) {
    set(name, Entry::Silence);
}

/// Returns the answer to a message with one question; `None` for silence.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let (header, question) = message.split_at_checked(12)?;
    let (mut name, mut rest) = (Vec::new(), question);
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            rest = after;
            break;
        }
        let (label, after) = after.split_at_checked(length.into())?;
        name.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
    let is_txt = rest.get(..4)? == TXT_IN;
    let question = &question[..question.len() - rest.len() + 4];
    let entry = ENTRIES.lock().expect("the entries").get(&name.join(".")).cloned();
    // A name without an entry does not exist (NXDOMAIN).
    let (code, texts) = match entry {
        Some(Entry::Silence) => return None,
        Some(Entry::Failure) => (2, Vec::new()),
        Some(Entry::Texts(texts)) => (0, texts),
        None => (3, Vec::new()),
    };
    let texts = if is_txt { texts } else { Vec::new() };
    let count = u16::try_from(texts.len()).expect("some records").to_be_bytes();
    // A response; recursion is desired and available.
    let mut answer = [&header[..2], &[0x81, 0x80 | code], &[0, 1], &count, &[0, 0, 0, 0], question].concat();
    for text in texts {
        // Strings of at most 255 bytes, of which a reader sees one text (RFC 7208, 3.3).
        let strings = text.as_bytes().chunks(200).flat_map(|part| {
            let length = u8::try_from(part.len()).expect("at most 200 bytes");
            std::iter::once(length).chain(part.iter().copied())
        });
        let data: Vec<u8> = strings.collect();
        let length = u16::try_from(data.len()).expect("a short text").to_be_bytes();
        // The name is that of the question, at offset 12.
        answer.extend([[0xc0, 12].as_slice(), &TXT_IN, &[0, 0, 0, 60], &length, &data].concat());
    }
    Some(answer)
}
