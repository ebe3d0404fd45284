//! Tickets in German.

use super::conversations::Conversation;
use crate::support::ticket::model::{
    Kind::{Change, Incident, Problem, Request},
    Priority::{High, Low, Medium, Urgent},
};

const TECHNICAL: &str = "Technical Support";
const BILLING: &str = "Billing and Payments";
const RETURNS: &str = "Returns and Exchanges";
const SERVICE: &str = "Customer Service";
const SALES: &str = "Sales and Pre-Sales";

pub(super) const GERMAN: [Conversation; 16] = [
    Conversation {
        subject: "Schreibtisch fährt nur noch abwärts",
        body: "Seit heute früh reagiert der Tisch nicht mehr auf die Taste nach oben. Nach unten fährt er. Am Display steht \
               nichts Auffälliges.",
        kind: Incident,
        priority: High,
        queue: TECHNICAL,
        tags: &["desk", "motor"],
        comments: &[
            "Bitte fahren Sie den Tisch ganz nach unten und halten Sie die Taste weitere zehn Sekunden gedrückt, bis ASR \
             erscheint. Danach sollte er wieder in beide Richtungen fahren.",
            "Das hat geholfen, vielen Dank.",
        ],
    },
    Conversation {
        subject: "Rechnung mit falscher Bestellnummer",
        body: "Auf der Rechnung fehlt unsere Bestellnummer. Ohne sie zahlt unsere Buchhaltung nicht. Bitte senden Sie uns eine \
               berichtigte Fassung.",
        kind: Request,
        priority: Medium,
        queue: BILLING,
        tags: &["invoice"],
        comments: &[
            "Die berichtigte Rechnung ist unterwegs. Ihre Bestellnummer steht künftig auch auf dem Lieferschein.",
        ],
    },
    Conversation {
        subject: "Zwei Stühle mit Transportschaden",
        body: "Bei zwei von sechs Stühlen ist die Rückenlehne gebrochen. Die Kartons waren eingedrückt, der Fahrer hat es \
               vermerkt.",
        kind: Incident,
        priority: High,
        queue: RETURNS,
        tags: &["chair", "delivery"],
        comments: &[
            "Das tut uns leid. Zwei neue Stühle kommen am Donnerstag, der Fahrer nimmt die beschädigten mit. Sie brauchen \
             nichts zu verpacken.",
            "Heute getauscht, alles in Ordnung.",
        ],
    },
    Conversation {
        subject: "Headset rauscht in Besprechungen",
        body: "In Videokonferenzen hören alle anderen ein Rauschen, sobald ich spreche. Am Telefon ist es gut.",
        kind: Incident,
        priority: Medium,
        queue: TECHNICAL,
        tags: &["headset"],
        comments: &[
            "Ist in der Konferenzsoftware die Rauschunterdrückung eingeschaltet? Zusammen mit der des Headsets stört sie sich.",
            "Ja, das war sie. Abgeschaltet ist es weg.",
        ],
    },
    Conversation {
        subject: "Angebot für 25 Arbeitsplätze",
        body: "Wir ziehen im Frühjahr um und brauchen 25 Arbeitsplätze: Tisch, Stuhl, Lampe, Monitorarm. Bitte ein Angebot mit \
               Montage und Abholung der alten Möbel.",
        kind: Request,
        priority: Medium,
        queue: SALES,
        tags: &["quote"],
        comments: &[
            "Gern. Ich schlage einen Termin vor Ort vor, damit wir die Leitungswege sehen. Passt Ihnen Dienstag um 14 Uhr?",
            "Dienstag um 14 Uhr passt, bitte am Empfang melden.",
        ],
    },
    Conversation {
        subject: "Umstellung auf SEPA-Lastschrift",
        body: "Wir möchten den Serviceplan künftig per Lastschrift zahlen. Welches Formular brauchen Sie?",
        kind: Change,
        priority: Low,
        queue: BILLING,
        tags: &["payment", "care-plan"],
        comments: &["Das Mandat liegt in Ihrem Konto bereit, es genügt die elektronische Unterschrift."],
    },
    Conversation {
        subject: "Dockingstation erkennt den Bildschirm nicht",
        body: "Nach dem Update des Betriebssystems bleibt der zweite Bildschirm an der Dockingstation schwarz. An einem \
               anderen Rechner geht er.",
        kind: Problem,
        priority: High,
        queue: TECHNICAL,
        tags: &["dock", "display"],
        comments: &[
            "Der Treiber des Herstellers wurde beim Update entfernt. Der Link zur Version 11.3 steht auf unserer Supportseite.",
            "Installiert, beide Bildschirme sind da.",
        ],
    },
    Conversation {
        subject: "Lieferung bitte erst ab 10 Uhr",
        body: "Vor 10 Uhr ist bei uns niemand im Lager. Die Spedition stand schon zweimal vor verschlossener Tür.",
        kind: Change,
        priority: Medium,
        queue: SERVICE,
        tags: &["delivery"],
        comments: &["Ist hinterlegt: Anlieferung werktags von 10 bis 16 Uhr, mit Anruf eine Stunde vorher."],
    },
    Conversation {
        subject: "Schubladen passen nicht unter den Tisch",
        body: "Der Rollcontainer ist zwei Zentimeter höher als die niedrigste Stellung des Tisches. Auf Ihrer Seite steht, dass \
               er passt.",
        kind: Incident,
        priority: Medium,
        queue: RETURNS,
        tags: &["desk", "return"],
        comments: &[
            "Sie haben recht, die Angabe gilt für das Vorgängermodell. Wir tauschen den Container gegen den flachen und \
             berichtigen die Seite.",
        ],
    },
    Conversation {
        subject: "Betrag doppelt abgebucht?",
        body: "Auf dem Kontoauszug stehen zwei gleiche Beträge. Wir haben nur einmal bestellt. Bitte dringend prüfen.",
        kind: Incident,
        priority: Urgent,
        queue: BILLING,
        tags: &["payment", "card"],
        comments: &[
            "Der erste Versuch wurde von der Bank abgelehnt und ist nur vorgemerkt. Gebucht wurde einmal; die Vormerkung \
             verfällt in wenigen Tagen von selbst.",
            "Inzwischen steht nur noch eine Buchung da. Danke.",
        ],
    },
    Conversation {
        subject: "Neue Kollegin im Buchungssystem anlegen",
        body: "Frau Yilmaz fängt am Ersten an und soll Tische im 2. Stock buchen können.",
        kind: Request,
        priority: Low,
        queue: SERVICE,
        tags: &["booking", "access"],
        comments: &["Angelegt. Sie bekommt ihre Einladung am ersten Arbeitstag um acht Uhr."],
    },
    Conversation {
        subject: "Lampe summt auf niedrigster Stufe",
        body: "Bei kleiner Helligkeit summt die Lampe hörbar. Auf voller Stufe ist sie still.",
        kind: Incident,
        priority: Low,
        queue: TECHNICAL,
        tags: &["lamp", "warranty"],
        comments: &["Das ist ein bekannter Fehler der Netzteile aus dem Sommer. Ein neues Netzteil ist in der Post."],
    },
    Conversation {
        subject: "Rückgabe nach Musterung",
        body: "Wir haben drei Stühle zur Ansicht. Einer bleibt, zwei gehen zurück. Wann kann abgeholt werden?",
        kind: Request,
        priority: Medium,
        queue: RETURNS,
        tags: &["chair", "return"],
        comments: &["Am Freitag zwischen 12 und 15 Uhr. Der Betrag für zwei Stühle wird danach erstattet."],
    },
    Conversation {
        subject: "Höhe für drei Personen speichern",
        body: "Drei Leute teilen sich einen Tisch. Wie speichert man die Höhen?",
        kind: Request,
        priority: Low,
        queue: TECHNICAL,
        tags: &["desk"],
        comments: &["Gewünschte Höhe einstellen, S drücken, dann 1, 2 oder 3. Ein Druck auf die Ziffer fährt sie an."],
    },
    Conversation {
        subject: "Buchungsseite lädt sehr langsam",
        body: "Seit gestern dauert es eine halbe Minute, bis der Plan der Etage erscheint. Alle im Haus sind betroffen.",
        kind: Problem,
        priority: Urgent,
        queue: TECHNICAL,
        tags: &["booking", "performance"],
        comments: &[
            "Der neue Etagenplan ist ein Bild mit 60 MB. Wir haben ihn verkleinert; bitte laden Sie die Seite einmal neu.",
            "Jetzt geht es wieder sofort.",
        ],
    },
    Conversation {
        subject: "Ersatzteile nach fünf Jahren",
        body: "Wie lange gibt es Rollen und Armlehnen für den Bürostuhl? Wir planen die nächsten Jahre.",
        kind: Request,
        priority: Low,
        queue: SALES,
        tags: &["chair"],
        comments: &["Mindestens zehn Jahre ab Kauf. Die Rollen sind genormt und passen auch danach."],
    },
];
