// What an app does with the generated client: it shows how warm a guest likes it.

import hotel.guestprefs.apis.PreferencesApi
import hotel.guestprefs.infrastructure.ApiClient

fun main(words: Array<String>) {
    val (url, token, guest) = words
    ApiClient.accessToken = token
    val known = PreferencesApi(url).getPreferences(guest)
    val warmth = known.preferences.getValue("climate.temperature.occupied")
    println("${known.version} ${warmth.value} ${warmth.unit} ${warmth.status.value}")
}
