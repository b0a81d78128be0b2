//! Text in another language: a few sentences for real, the rest marked.

use super::{
    language,
    markup::{self, Piece},
    text,
};

/// A translated text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Translated {
    /// In the language asked for.
    pub(crate) text: String,
    /// ISO 639-1 of the source: as given, or detected.
    pub(crate) source: String,
    /// 0 to 1 if detected; `None` if given.
    pub(crate) confidence: Option<f64>,
}

/// Sentences that are translated for real; the first column is English.
const SENTENCES: [[(&str, &str); 6]; 5] = [
    [
        ("en", "Hello, world!"),
        ("fr", "Bonjour le monde !"),
        ("de", "Hallo Welt!"),
        ("es", "¡Hola, mundo!"),
        ("it", "Ciao, mondo!"),
        ("zh", "你好，世界！"),
    ],
    [
        ("en", "The weather in London is sunny today."),
        ("fr", "Il fait beau à Londres aujourd'hui."),
        ("de", "Das Wetter in London ist heute sonnig."),
        ("es", "El tiempo en Londres está soleado hoy."),
        ("it", "Oggi a Londra c'è il sole."),
        ("zh", "今天伦敦天气晴朗。"),
    ],
    [
        ("en", "Please call me back at three o'clock."),
        ("fr", "Veuillez me rappeler à trois heures."),
        ("de", "Bitte rufen Sie mich um drei Uhr zurück."),
        ("es", "Por favor, llámeme a las tres."),
        ("it", "La prego di richiamarmi alle tre."),
        ("zh", "请三点给我回电话。"),
    ],
    [
        (
            "en",
            "Thank you for the wonderful service at the hotel in Paris.",
        ),
        ("fr", "Merci pour le merveilleux service à l'hôtel à Paris."),
        (
            "de",
            "Vielen Dank für den wunderbaren Service im Hotel in Paris.",
        ),
        (
            "es",
            "Gracias por el maravilloso servicio en el hotel de París.",
        ),
        (
            "it",
            "Grazie per il meraviglioso servizio nell'hotel di Parigi.",
        ),
        ("zh", "感谢巴黎酒店的优质服务。"),
    ],
    [
        ("en", "Maria was very helpful."),
        ("fr", "Maria a été très serviable."),
        ("de", "Maria war sehr hilfsbereit."),
        ("es", "María fue muy amable."),
        ("it", "Maria è stata molto disponibile."),
        ("zh", "玛丽亚非常乐于助人。"),
    ],
];

/// Translates sentence by sentence. Codes may carry a region or script and be in any case; only the language counts.
///
/// Known sentences become real ones. Others are kept, with `[TARGET] ` before the first that is not known: so a test
/// sees that the text went through, and what was asked for. A text already in the target language stays as it is.
pub(crate) fn translate(given: &str, source: Option<&str>, target: &str) -> Translated {
    let detected = source
        .is_none()
        .then(|| language::detect(given).into_iter().next())
        .flatten();
    let confidence = detected.as_ref().map(|detected| detected.confidence);
    let source = match (source, detected) {
        (Some(source), _) => primary(source),
        (None, Some(detected)) => detected.code.to_owned(),
        (None, None) => "en".to_owned(),
    };
    let wanted = primary(target);
    let text = if source == wanted || given.trim().is_empty() {
        given.to_owned()
    } else {
        by_sentence(given, &source, &wanted)
    };
    Translated {
        text,
        source,
        confidence,
    }
}

/// The same between the tags of HTML; `escape` writes what was translated as HTML again. At most one mark in all.
pub(crate) fn translate_html(
    given: &str,
    source: Option<&str>,
    target: &str,
    escape: fn(&str) -> String,
) -> Translated {
    let spoken = markup::unescaped(&markup::blanked(given));
    let whole = translate(&spoken, source, target);
    let mark = format!("[{}] ", primary(target));
    let mut marked = false;
    let mut text = String::new();
    for piece in markup::pieces(given) {
        match piece {
            Piece::Text(between) if between.chars().any(char::is_alphanumeric) => {
                let plain = markup::unescaped(between);
                let mut done = translate(&plain, Some(&whole.source), target).text;
                if marked {
                    done = done.replacen(&mark, "", 1);
                }
                marked = marked || done.contains(&mark);
                text.push_str(&escape(&done));
            }
            Piece::Text(piece) | Piece::Tag(piece) => text.push_str(piece),
        }
    }
    Translated { text, ..whole }
}

/// The language of a code such as `zh-Hans` or `EN_us`.
pub(crate) fn primary(code: &str) -> String {
    code.split(['-', '_'])
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

fn by_sentence(given: &str, source: &str, target: &str) -> String {
    let letters: Vec<char> = given.chars().collect();
    let mut text = String::new();
    let mut at = 0;
    let mut marked = false;
    for sentence in text::sentences(given) {
        text.extend(letters.get(at..sentence.offset).unwrap_or_default());
        at = sentence.offset + sentence.length;
        if let Some(known) = known(&sentence.text, source, target) {
            text.push_str(known);
            continue;
        }
        if !marked {
            text.push('[');
            text.push_str(target);
            text.push_str("] ");
            marked = true;
        }
        text.push_str(&sentence.text);
    }
    text.extend(letters.get(at..).unwrap_or_default());
    text
}

fn known(sentence: &str, source: &str, target: &str) -> Option<&'static str> {
    let row = SENTENCES
        .iter()
        .find(|row| row.contains(&(source, sentence)))?;
    row.iter()
        .find_map(|(code, text)| (*code == target).then_some(*text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sentences_are_translated_and_others_marked() {
        let to = |text: &str, target: &str| translate(text, None, target).text;
        assert_eq!(
            to("The weather in London is sunny today.", "de"),
            "Das Wetter in London ist heute sonnig."
        );
        assert_eq!(
            to(
                "The weather in London is sunny today. I am here.\n",
                "ZH-Hans"
            ),
            "今天伦敦天气晴朗。 [zh] I am here.\n"
        );
        assert_eq!(to("I am here. And you?", "fr"), "[fr] I am here. And you?");
        assert_eq!(to("I am here.", "en-GB"), "I am here.");
        assert_eq!(translate("Das Wetter ist gut", None, "en").source, "de");
        assert_eq!(translate("x", Some("fr"), "en").confidence, None);
    }

    #[test]
    fn tags_stay_and_text_between_them_is_translated() {
        let to = |text: &str| translate_html(text, None, "fr", markup::escaped).text;
        assert_eq!(to("<p>Hello, world!</p>"), "<p>Bonjour le monde !</p>");
        assert_eq!(
            to("Tom&#39;s <b>red</b> and <i>blue</i>."),
            "[fr] Tom&#39;s <b>red</b> and <i>blue</i>."
        );
    }
}
