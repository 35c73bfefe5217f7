/** Texts of the element by language. Hosts add languages with the property `messages`. */

/** The texts; `{count}` in `results` is replaced. */
export type ElementMessages = {
  readonly prompt: string;
  readonly choose: string;
  readonly yourPicture: string;
  readonly searching: string;
  readonly noResults: string;
  readonly oneResult: string;
  readonly results: string;
  readonly identical: string;
  readonly edited: string;
  readonly similar: string;
  readonly weaker: string;
  readonly unreadable: string;
  readonly unavailable: string;
  readonly failed: string;
};

const ENGLISH: ElementMessages = {
  prompt: 'Drop or paste a picture here to find similar pictures.',
  choose: 'Choose a picture',
  yourPicture: 'Your picture',
  searching: 'Searching…',
  noResults: 'No similar pictures found.',
  oneResult: 'One picture found.',
  results: '{count} pictures found.',
  identical: 'Identical',
  edited: 'Edited copies',
  similar: 'Similar',
  weaker: 'Weaker matches',
  unreadable: 'This file cannot be used. Try another picture, such as a JPEG.',
  unavailable: 'The picture search is not available right now. Try again later.',
  failed: 'The search failed.',
};

const MESSAGES: { readonly [language: string]: ElementMessages } = {
  en: ENGLISH,
  de: {
    prompt: 'Ziehen Sie ein Bild hierher oder fügen Sie es ein, um ähnliche Bilder zu finden.',
    choose: 'Bild auswählen',
    yourPicture: 'Ihr Bild',
    searching: 'Suche läuft …',
    noResults: 'Keine ähnlichen Bilder gefunden.',
    oneResult: 'Ein Bild gefunden.',
    results: '{count} Bilder gefunden.',
    identical: 'Identisch',
    edited: 'Bearbeitete Kopien',
    similar: 'Ähnlich',
    weaker: 'Schwächere Treffer',
    unreadable: 'Diese Datei kann nicht verwendet werden. Versuchen Sie ein anderes Bild, etwa ein JPEG.',
    unavailable: 'Die Bildersuche ist gerade nicht verfügbar. Versuchen Sie es später noch einmal.',
    failed: 'Die Suche ist fehlgeschlagen.',
  },
  fr: {
    prompt: 'Déposez ou collez une image ici pour trouver des images similaires.',
    choose: 'Choisir une image',
    yourPicture: 'Votre image',
    searching: 'Recherche en cours…',
    noResults: 'Aucune image similaire trouvée.',
    oneResult: 'Une image trouvée.',
    results: '{count} images trouvées.',
    identical: 'Identiques',
    edited: 'Copies modifiées',
    similar: 'Similaires',
    weaker: 'Résultats moins proches',
    unreadable: 'Ce fichier ne peut pas être utilisé. Essayez une autre image, par exemple un JPEG.',
    unavailable: 'La recherche d’images n’est pas disponible pour le moment. Réessayez plus tard.',
    failed: 'La recherche a échoué.',
  },
  es: {
    prompt: 'Arrastre o pegue una imagen aquí para encontrar imágenes similares.',
    choose: 'Elegir una imagen',
    yourPicture: 'Su imagen',
    searching: 'Buscando…',
    noResults: 'No se encontraron imágenes similares.',
    oneResult: 'Se encontró una imagen.',
    results: 'Se encontraron {count} imágenes.',
    identical: 'Idénticas',
    edited: 'Copias editadas',
    similar: 'Similares',
    weaker: 'Coincidencias más débiles',
    unreadable: 'No se puede usar este archivo. Pruebe con otra imagen, por ejemplo un JPEG.',
    unavailable: 'La búsqueda de imágenes no está disponible en este momento. Inténtelo más tarde.',
    failed: 'La búsqueda ha fallado.',
  },
};

/** The texts of a language tag such as `de-CH`, English for unknown ones, with the host's own texts on top. */
export function messagesFor(language: string, own: Partial<ElementMessages> = {}): ElementMessages {
  const primary = language.toLowerCase().split('-')[0] ?? '';
  // Complete by ENGLISH.
  return { ...(Object.hasOwn(MESSAGES, primary) ? MESSAGES[primary] : ENGLISH), ...own } as ElementMessages;
}
