//! Posts of the shop.

/// A post.
#[derive(Debug, Clone, Copy)]
pub struct Article {
    pub title: &'static str,
    pub summary: &'static str,
    /// Markdown.
    pub body: &'static str,
    pub language: &'static str,
    pub tags: &'static [&'static str],
    /// The age of the post, in days.
    pub days_ago: i64,
    pub fate: Fate,
}

/// The state of a post after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Published,
    /// Scheduled to be published in so many days.
    Scheduled(i64),
    Draft,
}

/// The posts, oldest first.
pub const POSTS: [Article; 7] = [
    Article {
        title: "How to set up a standing desk",
        summary: "Three heights, two minutes, and why the elbows decide.",
        body: "A desk is at the right height when the elbows are, too.\n\n## Sitting\n\n1. Set the chair so that both feet are \
               flat on the floor.\n2. Let the arms hang, bend them by 90 degrees, and raise the desk to the elbows.\n\n## \
               Standing\n\nThe same again, with shoes on. Save both heights with **S** and a digit.\n\n> Change the position \
               every half hour. The next position is the best one.\n",
        language: "en",
        tags: &["desk", "guide"],
        days_ago: 78,
        fate: Fate::Published,
    },
    Article {
        title: "So stellen Sie Ihren Bürostuhl richtig ein",
        summary: "Sitzhöhe, Rückenlehne, Armlehnen: in dieser Reihenfolge.",
        body: "Erst die **Sitzhöhe**, dann die **Rückenlehne**, zuletzt die **Armlehnen**.\n\n- Die Füße stehen ganz auf dem \
               Boden.\n- Zwischen Sitzkante und Knie passen drei Finger.\n- Die Lehne gibt nach, ohne zu schieben.\n",
        language: "de",
        tags: &["chair", "guide"],
        days_ago: 61,
        fate: Fate::Published,
    },
    Article {
        title: "Firmware 1.19 for the docking station",
        summary: "Screens come back after sleep, and the fan is quieter.",
        body: "The release fixes the second screen that stayed black after sleep.\n\n| change | since |\n|---|---|\n| \
               DisplayPort wakes up | 1.19 |\n| fan starts at 50 °C instead of 42 °C | 1.19 |\n\nThe updater is on the support \
               page. Keep the power supply connected while it runs.\n",
        language: "en",
        tags: &["dock", "release"],
        days_ago: 33,
        fate: Fate::Published,
    },
    Article {
        title: "Our prices from January",
        summary: "Steel got cheaper, freight did not: what changes and what does not.",
        body: "Desks become **2 % cheaper**. Chairs and lamps keep their prices. Delivery of pallets costs 49 euros instead of \
               39.\n\nOrders that are placed before the end of the year are delivered at the old prices.\n",
        language: "en",
        tags: &["news"],
        days_ago: 12,
        fate: Fate::Published,
    },
    Article {
        title: "Five years of desk booking",
        summary: "From a spreadsheet to 40,000 bookings a day.",
        body: "It began with a spreadsheet for nine desks. Today 1,100 offices use it.\n\nThank you to everyone who sent us a \
               ticket: half of what is in it was your idea.\n",
        language: "en",
        tags: &["booking", "news"],
        days_ago: 3,
        fate: Fate::Scheduled(4),
    },
    Article {
        title: "Leiser arbeiten: was Headsets können",
        summary: "Entwurf für den Ratgeber.",
        body: "Noch zu klären: Messwerte der drei Modelle, Bild des Mikrofons.\n\n- Rauschunterdrückung im Headset *oder* in der \
               Software, nicht beides.\n",
        language: "de",
        tags: &["headset", "guide"],
        days_ago: 2,
        fate: Fate::Draft,
    },
    Article {
        title: "What to do with old office furniture",
        summary: "Give away, sell, recycle: an outline.",
        body: "Outline:\n\n1. What schools and clubs take\n2. What we buy back\n3. What is recycled, and into what\n",
        language: "en",
        tags: &["guide"],
        days_ago: 1,
        fate: Fate::Draft,
    },
];
